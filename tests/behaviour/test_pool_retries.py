"""Failing fast, and repeating only what can't run twice."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster

from behaviour.every_client import close, settle
from behaviour.tuned_clients import SCALED_DOWN, SINGLE, make
from redispan import RedispanInstrumentor, pools_in_effect, tuned_pool
from redispan.asyncio import tuned_pool as tuned_async_pool
from servers.cluster import ClusterServer
from servers.dead_ends import black_hole, dead_port, silent_port
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer

pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("tuned"),
    # redis-py's async cluster drops nodes without closing them when their topology can't be read.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TUNING = SCALED_DOWN
DEADLINE_S = TUNING["pool_deadline_s"]
MAJOR = int(redis.__version__.split(".")[0])


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("command", ["get", "incr"])
@pytest.mark.parametrize("trouble", [dead_port, silent_port, black_hole])
async def test_every_operation_ends_within_the_deadline(trouble: Any, command: str, kind: str) -> None:
    """Dead, silent or black-holed: the caller gets the library's exception within the bound."""
    with trouble() as port:
        client = make(kind, "127.0.0.1", port)
        start_s = time.monotonic()
        with pytest.raises((redis.ConnectionError, redis.TimeoutError)) as caught:
            await settle(getattr(client, command)("k"))
        assert time.monotonic() - start_s < DEADLINE_S + 0.5
        assert type(caught.value).__module__.startswith("redis.")
        await close(client)


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
async def test_a_cluster_that_turns_silent_fails_within_the_deadline(kind: str, cluster_server: ClusterServer) -> None:
    """All nodes stop answering: a read and a write both end within the bound, with an exception of the library."""
    client = make(kind, cluster_server.host, cluster_server.port)
    await settle(client.set("k", 1))
    for node in cluster_server.masters:
        node.call("CLIENT", "PAUSE", 6000, "ALL")
    try:
        for call in (lambda: client.get("k"), lambda: client.incr("k")):
            start_s = time.monotonic()
            with pytest.raises((redis.RedisError, redis.exceptions.RedisClusterException)) as caught:
                await settle(call())
            assert time.monotonic() - start_s < DEADLINE_S + 0.8
            assert not hasattr(type(caught.value), "redispan_plain")
    finally:
        for node in cluster_server.masters:
            node.call("CLIENT", "UNPAUSE")
        await close(client)


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
@pytest.mark.parametrize("how", ["call", "pipeline"])
async def test_a_slow_cluster_node_never_makes_a_write_run_twice(
    how: str, kind: str, cluster_server: ClusterServer
) -> None:
    """The reply comes later than the tuned timeout: the write happened once, whatever the cluster client does."""
    owner = cluster_server.owner_of("n")
    client = make(kind, cluster_server.host, cluster_server.port)
    await settle(client.set("n", 0))
    owner.call("EVAL", "return 1", 0)
    sleeper = threading.Thread(
        target=owner.call,
        args=(
            "EVAL",
            "local t=redis.call('time')[1]*1000+redis.call('time')[2]/1000+900 "
            "while redis.call('time')[1]*1000+redis.call('time')[2]/1000<t do end",
            0,
        ),
    )
    sleeper.start()
    await asyncio.sleep(0.1)
    with contextlib.suppress(redis.RedisError):
        if how == "call":
            await settle(client.incr("n"))
        else:
            pipeline = client.pipeline()
            pipeline.incr("n")
            await settle(pipeline.execute())
    await asyncio.to_thread(sleeper.join)
    await asyncio.sleep(0.3)
    assert owner.call("GET", "n") in ("0", "1")
    await close(client)


@pytest.mark.parametrize("kind", SINGLE)
async def test_a_server_that_comes_up_late_is_reached(
    kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """Refused at first, open after 0.5 s: connecting is tried again, with pauses."""
    fault_proxy.refuse()
    opener = threading.Timer(0.5, fault_proxy.start)
    opener.start()
    client = make(kind, fault_proxy.host, fault_proxy.port)
    assert await settle(client.incr("n")) == 1
    opener.join()
    await close(client)


async def test_only_the_first_caller_of_an_outage_spends_time_on_it(redis_server: RedisServer) -> None:
    """Once a series of attempts failed, later calls of the pool fail at once, until a connection works again."""
    with dead_port() as port:
        client = make("sync-url", "127.0.0.1", port)
        for most_s in (2.0, 0.1, 0.1):
            start_s = time.monotonic()
            with pytest.raises(redis.ConnectionError):
                client.get("k")
            assert time.monotonic() - start_s < most_s


@pytest.mark.parametrize("kind", ["sync-url", "async-url"])
async def test_each_outage_has_its_first_caller(kind: str, fault_proxy: FaultProxy) -> None:
    """A connection that worked ends an outage, so that the next one is bridged like the first."""
    client = make(kind, fault_proxy.host, fault_proxy.port)
    attempts = []
    for _ in range(2):
        await settle(client.ping())
        fault_proxy.refuse()
        fault_proxy.drop_all()
        await settle(client.connection_pool.disconnect())
        before = client.connection_pool.redispan_state.connect_failures
        with pytest.raises(redis.ConnectionError):
            await settle(client.ping())
        attempts.append(client.connection_pool.redispan_state.connect_failures - before)
        fault_proxy.heal()
    assert min(attempts) > 1
    await close(client)


@pytest.mark.parametrize("kind", ["sync-url", "async-url"])
async def test_an_answer_that_refuses_the_connection_is_final(kind: str, redis_server: RedisServer) -> None:
    """A database that the server does not have, and a fault of the program's own, end an operation at once."""

    class Broken(redis.CredentialProvider):
        asked = 0

        def get_credentials(self) -> tuple[str]:
            self.asked += 1
            raise LookupError("no such secret")

    broken = Broken()
    module = redis.asyncio if kind.startswith("async") else redis
    for options, error in (({"db": 999}, redis.ResponseError), ({"credential_provider": broken}, LookupError)):
        client = module.Redis.from_url(f"redis://{redis_server.host}:{redis_server.port}", **options)
        with pytest.raises(error):
            await settle(client.get("k"))
        assert client.connection_pool.redispan_state.connect_failures == 1
        await close(client)
    assert broken.asked == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_wrong_passwords_are_never_repeated(kind: str, acl_server: RedisServer) -> None:
    """An authentication error comes back at once; plain redis-py 8 asks eleven times."""
    module = redis if kind == "sync" else redis.asyncio
    client = module.Redis(host=acl_server.host, port=acl_server.port, password="wrong")
    start_s = time.monotonic()
    with pytest.raises(redis.AuthenticationError):
        await settle(client.ping())
    assert time.monotonic() - start_s < 0.4
    await close(client)


@pytest.mark.skipif(MAJOR < 6, reason="5.x never repeats commands")
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("command", "again"), [("get", True), ("incr", False)])
async def test_after_a_lost_connection_only_reads_are_sent_again(
    command: str, again: bool, kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """The connection breaks after the command was sent: GET is repeated and answers, INCR raises and ran once."""
    client = make(kind, fault_proxy.host, fault_proxy.port)
    await settle(client.ping())
    redis_server.call("CONFIG", "RESETSTAT")
    connection = fault_proxy.open_connections[0]
    connection.replies.cut_after_bytes = connection.replies.seen_bytes + 1
    if again:
        assert await settle(client.get("n")) is None
        assert redis_server.commands_served()["get"] == 2
    else:
        with pytest.raises(redis.ConnectionError):
            await settle(client.incr("n"))
        assert redis_server.call("GET", "n") == "1"
    await close(client)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_health_check_does_not_multiply_a_policy_of_the_program(kind: str) -> None:
    """A silent server and a retry policy: the health check that redispan switches on adds no attempts of its own."""
    module = redis if kind == "sync" else redis.asyncio
    retry_module = redis.retry if kind == "sync" else redis.asyncio.retry
    with silent_port() as port:
        policy = retry_module.Retry(redis.backoff.NoBackoff(), 2)
        client = module.Redis(host="127.0.0.1", port=port, retry=policy, socket_timeout=0.1)
        start_s = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            await settle(client.get("k"))
        # Three attempts, and each may ask three things of a server before it gives up.
        assert time.monotonic() - start_s < 3
        await close(client)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_policy_of_the_program_is_respected(kind: str) -> None:
    """A retry object of the program's own decides alone: no attempt more, no attempt less."""
    module = redis if kind == "sync" else redis.asyncio
    retry_module = redis.retry if kind == "sync" else redis.asyncio.retry
    attempts: list[float] = []

    class Counting(redis.backoff.NoBackoff):
        def compute(self, failures: int) -> float:
            attempts.append(failures)
            return 0

        def reset(self) -> None:
            return

        def __deepcopy__(self, memo: Any) -> Counting:
            return self

    with silent_port() as port:
        client = module.Redis(host="127.0.0.1", port=port, retry=retry_module.Retry(Counting(), 0), socket_timeout=0.2)
        start_s = time.monotonic()
        with pytest.raises(redis.TimeoutError):
            await settle(client.get("k"))
        assert time.monotonic() - start_s < 1
        await close(client)
    assert attempts == []


@pytest.mark.parametrize("build", [tuned_pool, tuned_async_pool])
async def test_a_pool_by_hand_works_without_the_instrumentation(
    build: Any, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """tuned_pool() gives a plain pool with the same values, waiting and retries; overrides win."""
    RedispanInstrumentor().uninstrument()
    pool = build(fault_proxy.url, max_connections=1, pool_wait_s=1.0, pool_socket_timeout_s=0.3)
    assert type(pool).__name__ == "ConnectionPool"
    assert (pool.max_connections, pool.connection_kwargs["socket_timeout"]) == (1, 0.3)
    module = redis if build is tuned_pool else redis.asyncio
    client = module.Redis(connection_pool=pool)
    fault_proxy.refuse()
    opener = threading.Timer(0.4, fault_proxy.start)
    opener.start()
    assert await settle(client.incr("n")) == 1
    opener.join()
    assert await settle(client.blpop("nothing", 0.6)) is None
    if build is tuned_async_pool:
        assert sorted(await asyncio.gather(*(client.incr("n") for _ in range(20)))) == list(range(2, 22))
    await close(client)
    await settle(pool.disconnect())
    # Other pools are none of its business.
    assert "socket_timeout" not in redis.ConnectionPool().connection_kwargs


@pytest.mark.parametrize("kind", SINGLE)
async def test_what_never_opened_was_never_closed(kind: str) -> None:
    """Attempts to connect to a silent server are failures to connect, and no connections that were closed."""
    with silent_port() as port:
        client = make(kind, "127.0.0.1", port)
        with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
            await settle(client.get("k"))
        (found,) = [pool for pool in pools_in_effect() if pool["name"].startswith(f"127.0.0.1:{port}/")]
        await close(client)
    assert found["connect_failures"] > 0
    assert (found["created"], found["closed"]) == (0, {})
