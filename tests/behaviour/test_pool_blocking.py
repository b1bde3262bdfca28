"""The read timeout fits each command: every client gets the right answer in time, with nothing lost or doubled."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio.retry
import redis.retry

from behaviour.tuned_clients import KINDS, PATIENT, TunedClient, after, retune
from clients import fixture_of, settle
from servers.redis_server import RedisServer
from waiting import wait_until, wait_until_async

READ_TIMEOUT_S = 1.0
BLOCK_S = 1.5 * READ_TIMEOUT_S
LATER_S = 2 * READ_TIMEOUT_S
PATIENT_S = 30
TUNING = {**PATIENT, "pool_socket_timeout_s": READ_TIMEOUT_S, "pool_block_grace_s": 60.0}

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]

Call = Callable[[Any], Any]


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TunedClient:
    """Return a tuned client, of each kind in turn."""
    server = request.getfixturevalue(fixture_of(request.param))
    if fixture_of(request.param) == "tls_server":
        # Otherwise each connection reads all authorities that the machine trusts, for 30 ms.
        monkeypatch.setenv("SSL_CERT_FILE", str(server.certificates.authority))
        monkeypatch.setenv("SSL_CERT_DIR", str(server.certificates.authority.parent))
    return TunedClient(request.param, server)


def knows(server: RedisServer, *commands: str) -> dict[str, bool]:
    """Return whether the server has each of the commands."""
    found = server.call("COMMAND", "INFO", *commands)
    return {name: bool(info) for name, info in zip(commands, found, strict=True)}


def is_failure(answer: Any) -> bool:
    """Return whether a call failed."""
    return isinstance(answer, Exception)


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
    """Every blocking read outlives the read timeout and gets its element when it comes.

    Each element costs one request.
    """
    server = client.owner("{t}")
    server.call("XGROUP", "CREATE", "{t}group", "group", "$", "MKSTREAM")
    known = knows(server, *{name.partition(" ")[0] for name in BLOCKING})
    cases = {name: case for name, case in BLOCKING.items() if known[name.partition(" ")[0]]}
    if not client.is_cluster:  # redis-py's cluster clients look up commands in upper case
        cases["BLPOP in lower case"] = LOWER_CASE

    def give() -> None:
        blocked = lambda: int(server.info("clients")["blocked_clients"])  # noqa: E731
        wait_until(lambda: blocked() == len(cases), "all to be blocked")
        time.sleep(BLOCK_S)
        server.call_all(*(element for _, element in cases.values()))

    async def story(one: Any) -> dict[str, Any]:
        await client.open_connections(one, len(cases), "{t}")
        giver = after(0, give)
        answers = await client.at_once({name: lambda block=block: block(one) for name, (block, _) in cases.items()})
        giver.join()
        return answers

    answers = await client.run(story)
    assert {name: answer for name, answer in answers.items() if not answer or is_failure(answer)} == {}
    served = server.commands_served()
    asked = [name.partition(" ")[0].lower() for name in cases]
    assert {name: served[name] for name in asked} == {name: asked.count(name) for name in asked}


async def test_nothing_that_comes_is_answered_with_nothing(client: TunedClient) -> None:
    """A caller that blocks in vain gets the server's None, alone or in a batch.

    The bare timeout would raise or repeat.
    """
    server = client.owner("nothing")

    def batch(one: Any, *, transaction: bool) -> Any:
        """Send a batch.

        Its command with the longest timeout decides on the batch's timeout; inside MULTI nothing blocks.
        """
        return one.pipeline(transaction=transaction).blpop("nothing", BLOCK_S).echo("after").execute()

    calls: dict[str, Call] = {
        "as long as the read timeout": lambda one: one.blpop("nothing", READ_TIMEOUT_S),
        "longer": lambda one: one.blpop("nothing", BLOCK_S),
    }
    nothing = dict.fromkeys(calls)
    if not client.is_cluster:  # cluster clients refuse blocking commands in pipelines
        calls["WAIT"] = lambda one: one.wait(9, int(BLOCK_S * 1000))
        calls["pipeline"] = lambda one: batch(one, transaction=False)
        calls["MULTI"] = lambda one: batch(one, transaction=True)
        nothing |= {"WAIT": _replicas(client), "pipeline": [None, b"after"], "MULTI": [None, b"after"]}

    async def story(one: Any) -> dict[str, Any]:
        await client.open_connections(one, len(calls), "nothing")
        return await client.at_once({name: lambda call=call: call(one) for name, call in calls.items()})

    assert await client.run(story) == nothing
    assert server.commands_served()["blpop"] == len(calls) - ("WAIT" in calls)


def _replicas(client: TunedClient) -> int:
    return int(client.kind.endswith("sentinel"))


async def test_the_next_command_has_the_short_timeout_again(client: TunedClient) -> None:
    """The longer timeout of a blocking read applies once. A command after it fails while the server is still silent."""

    async def story(one: Any) -> None:
        await settle(one.blpop("{n}othing", 0.05))
        with client.silence("{n}"), pytest.raises(redis.TimeoutError):
            await settle(one.incr("{n}"))

    await client.run(story)


async def test_an_extended_read_that_expires_raises_and_leaves_nothing_behind(client: TunedClient) -> None:
    """When even the extended timeout passes, the call fails. Its late reply never reaches the next command."""
    retune(**{**TUNING, "pool_block_grace_s": READ_TIMEOUT_S})
    client.owner("{n}").call("SET", "{n}mine", "right")

    async def story(one: Any) -> list[Any]:
        await client.open_connections(one, 1, "{n}")
        with client.silence("{n}"), pytest.raises(redis.TimeoutError):
            await settle(one.blpop("{n}othing", 0.05))

        async def get() -> Any:
            try:
                return await settle(one.get("{n}mine"))
            except redis.TimeoutError:
                return None  # a busy machine may need another attempt

        return [await wait_until_async(get, "an answer") for _ in range(3)]

    assert await client.run(story) == [b"right"] * 3


async def test_commands_that_may_take_long_are_not_cut(client: TunedClient) -> None:
    """Scripts, functions, EXEC, KEYS, SORT and unknown commands outlive the tuned timeout and run once."""
    server = client.owner("{t}")
    server.call("RPUSH", "{t}l", 1)
    add = "return redis.call('incr', KEYS[1])"
    calls: dict[str, Call] = {
        "EVAL": lambda one: one.eval(add, 1, "{t}eval"),
        "EVALSHA": lambda one: one.evalsha(server.call("SCRIPT", "LOAD", add), 1, "{t}evalsha"),
        "SORT": lambda one: one.sort("{t}l"),
    }
    answers: dict[str, Any] = {"EVAL": 1, "EVALSHA": 1, "SORT": [b"1"]}
    if not client.is_cluster:
        calls["KEYS"] = lambda one: one.keys("{t}l*")
        calls["MULTI"] = lambda one: one.pipeline(transaction=True).incr("{t}n").execute()
        calls["unknown"] = lambda one: one.execute_command("BF.NOBODY", "{t}x")
        answers |= {"KEYS": [b"{t}l"], "MULTI": [1]}
    if knows(server, "FCALL")["FCALL"]:
        function = f"function(keys) {add.replace('KEYS', 'keys')} end"
        server.call("FUNCTION", "LOAD", f"#!lua name=lib\nredis.register_function('f', {function})")
        calls["FCALL"] = lambda one: one.fcall("f", 1, "{t}fcall")
        answers["FCALL"] = 1

    async def story(one: Any) -> dict[str, Any]:
        await client.open_connections(one, len(calls), "{t}")
        with client.silence("{t}", LATER_S):
            return await client.at_once({name: lambda call=call: call(one) for name, call in calls.items()})

    found = await client.run(story)
    unknown = found.pop("unknown", None)
    assert found == answers
    assert client.is_cluster or type(unknown) is redis.ResponseError
    written = {"EVAL": "{t}eval", "EVALSHA": "{t}evalsha", "FCALL": "{t}fcall", "MULTI": "{t}n"}
    keys = [key for name, key in written.items() if name in calls]
    assert server.call("MGET", *keys) == ["1"] * len(keys)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_timeout_of_the_program_is_its_word(kind: str, redis_server: RedisServer) -> None:
    """redispan keeps a read timeout that the program set.

    A longer blocking read gets TimeoutError, as without redispan.
    """
    client = TunedClient(kind, redis_server)
    retry = redis.retry.Retry if kind == "sync" else redis.asyncio.retry.Retry

    async def story(one: Any) -> None:
        await client.open_connections(one, 1, "nothing")
        with pytest.raises(redis.TimeoutError):
            await settle(one.blpop("nothing", PATIENT_S))

    await client.run(story, socket_timeout=0.2, retry=retry(redis.backoff.NoBackoff(), 0))
