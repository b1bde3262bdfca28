"""The read timeout follows the command: right answer at the right time, nothing lost, nothing doubled, in every client.

Timeouts are scaled down (read timeout 0.3 s for 2 s), so that the story of minutes takes seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio.retry
import redis.retry

from behaviour.every_client import settle
from behaviour.tuned_clients import KINDS, SERVERS, TunedClient, after
from servers.redis_server import RedisServer
from waiting import wait_until

READ_TIMEOUT_S = 0.3
LATER_S = 0.9
BLOCK_S = 1.2
PATIENT_S = 10
TUNING = {"pool_socket_timeout_s": READ_TIMEOUT_S, "pool_block_grace_s": 1.0}

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]

Call = Callable[[Any], Any]
_SLOW = """redis.call('incr', KEYS[1])
    local function now() local t = redis.call('time') return t[1] * 1000 + t[2] / 1000 end
    local until_ms = now() + 800
    while now() < until_ms do end
    return 'done'"""


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest) -> TunedClient:
    """A tuned client of every kind."""
    fixture = SERVERS.get(request.param.rpartition("-")[2], "redis_server")
    return TunedClient(request.param, request.getfixturevalue(fixture))


def knows(server: RedisServer, *commands: str) -> dict[str, bool]:
    """Whether the server has each of the commands."""
    found = server.call("COMMAND", "INFO", *commands)
    return {name: bool(info) for name, info in zip(commands, found, strict=True)}


# All keys share a hash tag, so that one node of a cluster serves them.
BLOCKING: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "BLPOP": (lambda one: one.blpop("{t}blpop", PATIENT_S), ("RPUSH", "{t}blpop", "x")),
    "BLPOP for ever": (lambda one: one.blpop("{t}ever", 0), ("RPUSH", "{t}ever", "x")),
    "BRPOP": (lambda one: one.brpop(["{t}brpop"], PATIENT_S), ("RPUSH", "{t}brpop", "x")),
    "BRPOPLPUSH": (lambda one: one.brpoplpush("{t}from", "{t}to", PATIENT_S), ("RPUSH", "{t}from", "x")),
    "BLMOVE": (lambda one: one.blmove("{t}blmove", "{t}to", PATIENT_S), ("RPUSH", "{t}blmove", "x")),
    "BLMPOP": (lambda one: one.blmpop(PATIENT_S, 1, "{t}blmpop", direction="LEFT"), ("RPUSH", "{t}blmpop", "x")),
    "BZPOPMIN": (lambda one: one.bzpopmin("{t}min", PATIENT_S), ("ZADD", "{t}min", 1, "x")),
    "BZPOPMAX": (lambda one: one.bzpopmax("{t}max", PATIENT_S), ("ZADD", "{t}max", 1, "x")),
    "BZMPOP": (lambda one: one.bzmpop(PATIENT_S, 1, ["{t}bzmpop"], min=True), ("ZADD", "{t}bzmpop", 1, "x")),
    "XREAD": (
        lambda one: one.xread({"{t}xread": "$"}, block=int(PATIENT_S * 1000)),
        ("XADD", "{t}xread", "*", "f", "v"),
    ),
    "XREADGROUP": (
        lambda one: one.xreadgroup("group", "me", {"{t}group": ">"}, block=int(PATIENT_S * 1000)),
        ("XADD", "{t}group", "*", "f", "v"),
    ),
}
LOWER_CASE: tuple[Call, tuple[Any, ...]] = (
    lambda one: one.execute_command("blpop", "{t}lower", PATIENT_S),
    ("RPUSH", "{t}lower", "x"),
)


async def test_elements_that_come_late_are_answered_once(client: TunedClient) -> None:
    """Every blocking read outlives the read timeout and gets its element when it comes: one request, one element."""
    server = client.owner("{t}")
    server.call("XGROUP", "CREATE", "{t}group", "group", "$", "MKSTREAM")
    known = knows(server, *{name.partition(" ")[0] for name in BLOCKING})
    cases = {name: case for name, case in BLOCKING.items() if known[name.partition(" ")[0]]}
    if not client.is_cluster:  # redis-py's clusters look up commands in upper case
        cases["BLPOP in lower case"] = LOWER_CASE

    def give() -> None:
        wait_until(lambda: int(server.info("clients")["blocked_clients"]) == len(cases), "all to be blocked")
        time.sleep(2 * READ_TIMEOUT_S)
        server.call_all(*(element for _, element in cases.values()))

    async def story(one: Any) -> dict[str, tuple[Any, float]]:
        giver = after(0, give)
        answers = await client.at_once({name: lambda block=block: block(one) for name, (block, _) in cases.items()})
        giver.join()
        return answers

    answers = await client.run(story)
    assert {name: answer for name, (answer, _) in answers.items() if not answer or isinstance(answer, Exception)} == {}
    assert all(2 * READ_TIMEOUT_S < took_s < PATIENT_S - 1 for _, took_s in answers.values()), answers
    served = server.commands_served()
    asked = [name.partition(" ")[0].lower() for name in cases]
    assert {name: served[name] for name in asked} == {name: asked.count(name) for name in asked}


async def test_nothing_that_comes_is_answered_with_nothing_in_time(client: TunedClient) -> None:
    """An empty list answers None after the block time, where the bare timeout would raise or repeat."""
    waits_s = {"as long as the read timeout": READ_TIMEOUT_S, "longer": BLOCK_S}

    async def story(one: Any) -> dict[str, tuple[Any, float]]:
        calls = {name: lambda wait_s=wait_s: one.blpop("nothing", wait_s) for name, wait_s in waits_s.items()}
        if not client.is_cluster:
            calls["WAIT"] = lambda: one.wait(9, int(BLOCK_S * 1000))
        return await client.at_once(calls)

    for name, (answer, took_s) in (await client.run(story)).items():
        wait_s = waits_s.get(name, BLOCK_S)
        assert answer in (None, 0, 1), name  # WAIT tells how many replicas there are
        assert wait_s - 0.1 <= took_s < wait_s + 0.8, name


async def test_the_next_command_has_the_short_timeout_again(client: TunedClient) -> None:
    """The patience of a blocking read is used once: a command after it fails in the tuned time."""
    server = client.owner("n")

    async def story(one: Any) -> float:
        await settle(one.blpop("{n}othing", 0.1))
        server.call("CLIENT", "PAUSE", 3000, "ALL")
        start_s = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            await settle(one.incr("n"))
        took_s = time.monotonic() - start_s
        server.call("CLIENT", "UNPAUSE")
        return took_s

    assert await client.run(story) < READ_TIMEOUT_S + 0.7


async def test_an_extended_read_that_expires_raises_and_leaves_nothing_behind(client: TunedClient) -> None:
    """When even the extended time passes, the call fails, and the late reply never reaches the next command."""
    server = client.owner("n")
    server.call("SET", "{n}mine", "right")

    async def story(one: Any) -> Any:
        await settle(one.get("{n}mine"))
        server.call("CLIENT", "PAUSE", 2500, "ALL")
        with pytest.raises(redis.TimeoutError):
            await settle(one.blpop("{n}othing", 0.2))
        server.call("CLIENT", "UNPAUSE")
        return [await settle(one.get("{n}mine")) for _ in range(3)]

    assert await client.run(story) == [b"right"] * 3


async def test_commands_that_may_take_long_are_not_cut(client: TunedClient) -> None:
    """Scripts, functions, EXEC, KEYS, SORT and what nobody knows have the library's own time, not the tuned one."""
    server = client.owner("{t}")
    server.call("RPUSH", "{t}l", 1)
    calls: dict[str, Call] = {
        "EVAL": lambda one: one.eval("return 1", 1, "{t}"),
        "EVALSHA": lambda one: one.register_script("return 1")(["{t}"]),
        "SORT": lambda one: one.sort("{t}l"),
    }
    if not client.is_cluster:
        calls["KEYS"] = lambda one: one.keys("{t}l*")
        calls["MULTI"] = lambda one: one.pipeline(transaction=True).incr("{t}n").execute()
        calls["unknown"] = lambda one: one.execute_command("BF.NOBODY", "{t}x")
    if knows(server, "FCALL")["FCALL"]:
        server.call("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
        calls["FCALL"] = lambda one: one.fcall("f", 1, "{t}")

    async def story(one: Any) -> dict[str, tuple[Any, float]]:
        # Open connections only: one that is opened meanwhile has the short time for its handshake.
        await client.at_once({name: lambda: one.blpop("{t}nothing", 0.5) for name in calls})
        server.call("CLIENT", "PAUSE", int(READ_TIMEOUT_S * 4000), "ALL")
        return await client.at_once({name: lambda call=call: call(one) for name, call in calls.items()})

    answers = {name: answer for name, (answer, _) in (await client.run(story)).items()}
    assert {name: answer for name, answer in answers.items() if isinstance(answer, redis.TimeoutError)} == {}
    assert isinstance(answers.pop("unknown", redis.ResponseError()), redis.ResponseError)
    assert all(answer in (1, [1], [b"1"], [b"{t}l"]) for answer in answers.values()), answers


@pytest.mark.parametrize("transaction", [False, True])
async def test_a_blocking_command_in_a_pipeline(transaction: bool, client: TunedClient) -> None:
    """The most patient command of a batch decides; inside MULTI nothing blocks."""
    if client.kind.endswith("cluster"):
        pytest.skip("clusters refuse blocking commands in pipelines")

    async def story(one: Any) -> Any:
        pipeline = one.pipeline(transaction=transaction)
        pipeline.blpop("nothing", BLOCK_S)
        pipeline.echo("after")
        return await settle(pipeline.execute())

    assert await client.run(story) == [None, b"after"]


async def test_a_slow_script_runs_once(client: TunedClient) -> None:
    """A script that takes longer than the read timeout is waited for, and never sent again."""
    server = client.owner("runs")

    async def story(one: Any) -> Any:
        return await settle(one.eval(_SLOW, 1, "runs"))

    assert await client.run(story) == b"done"
    assert server.call("GET", "runs") == "1"


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_timeout_of_the_program_is_its_word(kind: str, redis_server: RedisServer) -> None:
    """A program that set a read timeout gets TimeoutError from a longer blocking read, as without redispan."""
    client = TunedClient(kind, redis_server)
    retry = redis.retry.Retry if kind == "sync" else redis.asyncio.retry.Retry

    async def story(one: Any) -> None:
        start_s = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            await settle(one.blpop("nothing", 5))
        assert time.monotonic() - start_s < 2

    await client.run(story, socket_timeout=0.4, retry=retry(redis.backoff.NoBackoff(), 0))
