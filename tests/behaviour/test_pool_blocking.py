"""The read timeout follows the command: right answer at the right time, nothing lost, nothing doubled, in every client.

Timeouts are scaled down (read timeout 0.3 s for 2 s), so that the story of minutes takes seconds.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.sentinel

from redispan import RedispanInstrumentor
from servers.cluster import ClusterServer
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from servers.sentinel import SentinelServer

READ_TIMEOUT_S = 0.3
LATER_S = 0.9
BLOCK_S = 1.2

pytestmark = pytest.mark.redis

KINDS = (
    *("sync", "sync-url", "async", "async-url", "cluster", "async-cluster"),
    *("sync-tls", "async-tls", "sync-sentinel", "async-sentinel"),
)


async def settle(value: Any) -> Any:
    """The result of a call, whether the client is sync or async."""
    return await value if inspect.isawaitable(value) else value


@pytest.fixture(autouse=True)
def _tuned() -> Iterator[None]:
    RedispanInstrumentor().instrument(
        metrics=False, insight=False, pool_socket_timeout_s=READ_TIMEOUT_S, pool_block_grace_s=1.0
    )
    yield
    RedispanInstrumentor().uninstrument()


class Client:
    """A client of one kind, and its server."""

    def __init__(self, kind: str, server: RedisServer | ClusterServer | SentinelServer | FaultProxy) -> None:
        self.kind = kind
        self.server = server
        self._sentinels: list[Any] = []

    def make(self, **options: Any) -> Any:
        module = redis.asyncio if self.kind.startswith("async") else redis
        if isinstance(self.server, SentinelServer):
            sentinel = module.sentinel.Sentinel(self.server.sentinels)
            self._sentinels = sentinel.sentinels
            return sentinel.master_for(self.server.service_name, **options)
        if self.kind.endswith("cluster"):
            return module.RedisCluster(host=self.server.host, port=self.server.port, **options)
        if self.kind.endswith(("url", "tls")):
            return module.Redis.from_url(self.server.url, **options)
        return module.Redis(host=self.server.host, port=self.server.port, **options)

    async def run(self, story: Callable[[Any], Any], **options: Any) -> Any:
        """Run ``story(client)`` with a client that is closed afterwards."""
        client = self.make(**options)
        try:
            if self.kind.startswith("async"):
                return await story(client)
            # In a thread, so that a sync client can block beside what the test does meanwhile.
            return await asyncio.to_thread(lambda: asyncio.run(story(client)))
        finally:
            for one in (client, *self._sentinels):
                await settle((getattr(one, "aclose", None) or one.close)())


SERVERS = {"cluster": "cluster_server", "tls": "tls_server", "sentinel": "sentinel_server"}


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest) -> Client:
    """A tuned client of every kind."""
    fixture = SERVERS.get(request.param.rpartition("-")[2], "redis_server")
    return Client(request.param, request.getfixturevalue(fixture))


def _owner(client: Client, key: str) -> RedisServer:
    if isinstance(client.server, ClusterServer):
        return client.server.owner_of(key)
    if isinstance(client.server, SentinelServer):
        return client.server.master
    assert isinstance(client.server, RedisServer)
    return client.server


def later(do: Callable[[], Any]) -> threading.Timer:
    """Do it after several read timeouts."""
    timer = threading.Timer(LATER_S, do)
    timer.start()
    return timer


BLOCKING: dict[str, tuple[Callable[[Any], Any], tuple[Any, ...]]] = {
    "BLPOP": (lambda client: client.blpop("q", BLOCK_S), ("RPUSH", "q", "x")),
    "BLPOP for ever": (lambda client: client.blpop("q", 0), ("RPUSH", "q", "x")),
    "BRPOP": (lambda client: client.brpop(["q"], BLOCK_S), ("RPUSH", "q", "x")),
    "BZPOPMIN": (lambda client: client.bzpopmin("z", BLOCK_S), ("ZADD", "z", 1, "x")),
    "BLMOVE": (lambda client: client.blmove("{q}", "{q}to", BLOCK_S), ("RPUSH", "{q}", "x")),
    "XREAD": (lambda client: client.xread({"s": "$"}, block=int(BLOCK_S * 1000)), ("XADD", "s", "*", "f", "v")),
    "lower case": (lambda client: client.execute_command("blpop", "q", BLOCK_S), ("RPUSH", "q", "x")),
}


@pytest.mark.parametrize("name", BLOCKING)
async def test_an_element_that_comes_late_is_answered_once(name: str, client: Client) -> None:
    """A blocking read outlives the read timeout and gets the element when it comes: one request, one element."""
    block, give = BLOCKING[name]
    if name == "lower case" and "cluster" in client.kind:
        pytest.skip("redis-py's cluster looks up commands in upper case")
    server = _owner(client, str(give[1]))

    async def story(one: Any) -> tuple[Any, float]:
        timer = later(lambda: server.call(*give))
        start_s = time.monotonic()
        answer = await settle(block(one))
        timer.join()
        return answer, time.monotonic() - start_s

    answer, took_s = await client.run(story)
    assert answer
    assert LATER_S - 0.1 <= took_s < BLOCK_S + 0.5
    served = server.commands_served()
    assert served.get(name.split(maxsplit=1)[0].lower() if name != "lower case" else "blpop") == 1


async def test_nothing_that_comes_is_answered_with_nothing_in_time(client: Client) -> None:
    """An empty list answers None after the block time, where the bare timeout would raise or repeat."""

    async def story(one: Any) -> tuple[Any, float]:
        start_s = time.monotonic()
        return await settle(one.blpop("nothing", BLOCK_S)), time.monotonic() - start_s

    answer, took_s = await client.run(story)
    assert answer is None
    assert BLOCK_S - 0.1 <= took_s < BLOCK_S + 0.8


async def test_the_next_command_has_the_short_timeout_again(client: Client) -> None:
    """The patience of a blocking read is used once: a command after it fails in the tuned time."""
    if client.kind.endswith("sentinel"):
        pytest.skip("a paused master is given up by Sentinel")
    server = _owner(client, "n")

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


async def test_an_extended_read_that_expires_raises_and_leaves_nothing_behind(client: Client) -> None:
    """When even the extended time passes, the call fails, and the late reply never reaches the next command."""
    if client.kind.endswith("sentinel"):
        pytest.skip("a paused master is given up by Sentinel")
    server = _owner(client, "n")
    server.call("SET", "{n}mine", "right")

    async def story(one: Any) -> Any:
        await settle(one.get("{n}mine"))
        server.call("CLIENT", "PAUSE", 2500, "ALL")
        with pytest.raises(redis.TimeoutError):
            await settle(one.blpop("{n}othing", 0.2))
        server.call("CLIENT", "UNPAUSE")
        return [await settle(one.get("{n}mine")) for _ in range(3)]

    assert await client.run(story) == [b"right"] * 3


@pytest.mark.parametrize("transaction", [False, True])
async def test_a_blocking_command_in_a_pipeline(transaction: bool, client: Client) -> None:
    """The most patient command of a batch decides; inside MULTI nothing blocks."""
    if client.kind.endswith("cluster"):
        pytest.skip("clusters refuse blocking commands in pipelines")

    async def story(one: Any) -> Any:
        pipeline = one.pipeline(transaction=transaction)
        pipeline.blpop("nothing", BLOCK_S)
        pipeline.echo("after")
        return await settle(pipeline.execute())

    assert await client.run(story) == [None, b"after"]


async def test_a_slow_script_runs_once(client: Client) -> None:
    """A script that takes longer than the read timeout is waited for, and never sent again."""
    server = _owner(client, "runs")
    script = """redis.call('incr', KEYS[1])
        local function now() local t = redis.call('time') return t[1] * 1000 + t[2] / 1000 end
        local until_ms = now() + 800
        while now() < until_ms do end
        return 'done'"""

    async def story(one: Any) -> Any:
        return await settle(one.eval(script, 1, "runs"))

    assert await client.run(story) == b"done"
    assert server.call("GET", "runs") == "1"


@pytest.mark.parametrize("kind", ["sync", "sync-url", "async", "async-url"])
async def test_subscribers_hear_what_comes_after_a_silence(kind: str, redis_server: RedisServer) -> None:
    """listen() on a quiet channel blocks through many read timeouts, and no message is missed."""
    client = Client(kind, redis_server)

    async def story(one: Any) -> list[Any]:
        pubsub = one.pubsub(ignore_subscribe_messages=True)
        await settle(pubsub.subscribe("news"))
        await settle(pubsub.get_message(timeout=0.2))
        timers = [threading.Timer(0.8 * number, redis_server.call, ("PUBLISH", "news", number)) for number in (1, 2)]
        for timer in timers:
            timer.start()
        heard = []
        while len(heard) < 2:
            message = await settle(pubsub.get_message(timeout=None))
            if message is not None:
                heard.append(message["data"])
        await settle((getattr(pubsub, "aclose", None) or pubsub.close)())
        # The connection that listened serves commands again, with the short timeout.
        assert await settle(one.get("nothing")) is None
        return heard

    assert await asyncio.wait_for(client.run(story), 10) == [b"1", b"2"]
    assert redis_server.commands_served()["subscribe"] == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_monitor_waits_on_a_quiet_server(kind: str, redis_server: RedisServer) -> None:
    """MONITOR shows the command that comes after a silence of several read timeouts."""
    client = Client(kind, redis_server)

    async def story(one: Any) -> Any:
        timer = later(lambda: redis_server.call("ECHO", "seen"))
        if kind == "sync":
            with one.monitor() as monitor:
                found = monitor.next_command()
        else:
            async with one.monitor() as monitor:
                found = await monitor.next_command()
        timer.join()
        return found

    assert "ECHO" in (await asyncio.wait_for(client.run(story), 10))["command"].upper()


@pytest.mark.parametrize("kind", ["sync", "sync-url", "async", "async-url"])
@pytest.mark.parametrize("command", ["INCR", "LPUSH", "EVAL", "SET"])
async def test_a_delayed_reply_never_makes_a_write_run_twice(
    command: str, kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """The reply comes after the tuned timeout: the call fails or succeeds, and the write happened once."""
    client = Client(kind, fault_proxy)

    async def story(one: Any) -> None:
        await settle(one.ping())
        fault_proxy.open_connections[0].replies.delay_s = READ_TIMEOUT_S * 2
        calls = {
            "INCR": lambda: one.incr("n"),
            "LPUSH": lambda: one.lpush("l", 1),
            "EVAL": lambda: one.eval("return redis.call('incr', KEYS[1])", 1, "n"),
            "SET": lambda: one.set("s", 1),
        }
        try:
            await settle(calls[command]())
        except redis.TimeoutError:
            assert command != "EVAL"

    await client.run(story)
    await asyncio.sleep(READ_TIMEOUT_S * 3)
    served = redis_server.commands_served()
    assert served["incrby" if command == "INCR" and "incrby" in served else command.lower()] == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_timeout_of_the_program_is_its_word(kind: str, redis_server: RedisServer) -> None:
    """A program that set a read timeout gets TimeoutError from a longer blocking read, as without redispan."""
    client = Client(kind, redis_server)
    retry = redis.retry.Retry if kind == "sync" else redis.asyncio.retry.Retry

    async def story(one: Any) -> None:
        start_s = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            await settle(one.blpop("nothing", 5))
        assert time.monotonic() - start_s < 2

    await client.run(story, socket_timeout=0.4, retry=retry(redis.backoff.NoBackoff(), 0))
