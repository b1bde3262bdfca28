"""Operations fail fast, and only what can't run twice is repeated."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster

from behaviour.asked_waits import AskedWaits
from behaviour.tuned_clients import PATIENT, QUICK_TO_FAIL, SINGLE, after, lines_to, make, retune
from clients import close, settle
from redispan import RedispanInstrumentor, pools_in_effect, tuned_pool
from redispan._client.pool import connecting, retry_policy
from redispan.asyncio import tuned_pool as tuned_async_pool
from servers.cluster import ClusterServer
from servers.dead_ends import dead_port, silent_port
from servers.fault_proxy import FaultProxy, Faults
from servers.redis_server import RedisServer
from waiting import wait_until

pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("tuned"),
    # redis-py's async cluster drops nodes without closing them when their topology can't be read.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TUNING = QUICK_TO_FAIL
NODE_TIMEOUT_S = 1.5
"""The timeout must pass once, but never while the client reads the nodes, which may take a second on a busy machine."""
MAJOR = int(redis.__version__.split(".")[0])


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
@pytest.mark.parametrize("how", ["call", "pipeline"])
async def test_a_slow_cluster_node_never_makes_a_write_run_twice(
    how: str, kind: str, cluster_server: ClusterServer
) -> None:
    """The reply comes later than the tuned timeout. The write runs once, whatever the cluster client does."""
    retune(**{**PATIENT, "pool_socket_timeout_s": NODE_TIMEOUT_S})
    with lines_to(cluster_server) as (lines, options):
        client = make(kind, **options)
        assert await settle(client.set("n", 0))
        for faults in [faults for line in lines for faults in replies_of(line)]:
            faults.hold = True

        def go_on() -> None:
            for faults in [faults for line in lines for faults in replies_of(line)]:
                faults.hold = False

        timer = after(2 * NODE_TIMEOUT_S, go_on)
        with contextlib.suppress(redis.RedisError):
            await settle(client.incr("n") if how == "call" else client.pipeline().incr("n").execute())
        await asyncio.to_thread(timer.join)
        await close(client)
    assert cluster_server.owner_of("n").call("GET", "n") == "1"


def replies_of(line: FaultProxy) -> list[Faults]:
    """Return the faults of the replies on open and on new connections."""
    return [line.default.replies, *(connection.replies for connection in line.open_connections)]


@pytest.mark.parametrize("kind", SINGLE)
async def test_a_server_that_comes_up_late_is_reached(
    kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """The server refuses connections at first and accepts them after some attempts. redispan tries again to connect."""
    retune(**PATIENT)
    fault_proxy.refuse()
    client = make(kind, fault_proxy.host, fault_proxy.port)
    state = client.connection_pool.redispan_state
    opener = after(0, lambda: (wait_until(lambda: state.connect_failures > 2, "attempts"), fault_proxy.start()))
    assert await settle(client.incr("n")) == 1
    opener.join()
    await close(client)


@pytest.fixture
def only_pauses_take_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the clock that bounds a series of attempts by the pauses only.

    A slow attempt then does not end the series.
    """
    retune(**{**PATIENT, "pool_connect_retry_s": 0.3})
    now_s = time.monotonic()
    tell = retry_policy.note_pause

    def pause(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        tell(seconds)

    clock = SimpleNamespace(monotonic=lambda: now_s, perf_counter_ns=time.perf_counter_ns)
    monkeypatch.setattr(retry_policy, "time", clock)
    monkeypatch.setattr(connecting, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=time.sleep))
    monkeypatch.setattr(retry_policy, "note_pause", pause)


@pytest.mark.usefixtures("only_pauses_take_time")
@pytest.mark.parametrize("kind", ["sync-url", "async-url"])
async def test_only_the_first_caller_of_an_outage_spends_time_on_it(kind: str) -> None:
    """After a series of attempts has failed, later calls of the pool make one attempt each.

    That ends when a connection works.
    """
    with dead_port() as port:
        client = make(kind, "127.0.0.1", port)
        attempts = [await attempts_of(client, redis.ConnectionError) for _ in range(3)]
        await close(client)
    assert attempts[0] > 1
    assert attempts[1:] == [1, 1]


async def attempts_of(client: Any, error: type[Exception]) -> int:
    """Return how often a call that fails with ``error`` tries to connect."""
    state = client.connection_pool.redispan_state
    before = state.connect_failures
    with pytest.raises(error):
        await settle(client.get("k"))
    return int(state.connect_failures - before)


@pytest.mark.usefixtures("only_pauses_take_time")
@pytest.mark.parametrize("kind", ["sync-url", "async-url"])
async def test_each_outage_has_its_first_caller(kind: str, fault_proxy: FaultProxy) -> None:
    """A connection that works ends an outage. In the next outage, the first caller makes several attempts again."""
    client = make(kind, fault_proxy.host, fault_proxy.port)
    attempts = []
    for _ in range(2):
        await settle(client.ping())
        fault_proxy.refuse()
        fault_proxy.drop_all()
        await settle(client.connection_pool.disconnect())
        attempts.append(await attempts_of(client, redis.ConnectionError))
        fault_proxy.heal()
    assert min(attempts) > 1
    await close(client)


@pytest.mark.parametrize("kind", ["sync-url", "async-url"])
async def test_an_answer_that_refuses_the_connection_is_final(kind: str, redis_server: RedisServer) -> None:
    """An operation ends at once if its database does not exist or if the program's own credential provider fails."""
    retune(**PATIENT)

    class Broken(redis.CredentialProvider):
        asked = 0

        def get_credentials(self) -> tuple[str]:
            self.asked += 1
            raise LookupError("no such secret")

    broken = Broken()
    module = redis.asyncio if kind.startswith("async") else redis
    for options, error in (({"db": 999}, redis.ResponseError), ({"credential_provider": broken}, LookupError)):
        client = module.Redis.from_url(f"redis://{redis_server.host}:{redis_server.port}", **options)
        assert await attempts_of(client, error) == 1
        await close(client)
    assert broken.asked == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_wrong_passwords_are_never_repeated(kind: str, acl_server: RedisServer) -> None:
    """A client raises an authentication error at once and asks once. Plain redis-py 8 asks eleven times."""
    retune(**PATIENT)
    acl_server.call("ACL", "LOG", "RESET")
    module = redis if kind == "sync" else redis.asyncio
    client = module.Redis(host=acl_server.host, port=acl_server.port, password="wrong")
    with pytest.raises(redis.AuthenticationError):
        await settle(client.ping())
    await close(client)
    (refused,) = acl_server.call("ACL", "LOG")
    assert dict(zip(refused[::2], refused[1::2], strict=True))["count"] == 1


@pytest.mark.skipif(MAJOR < 6, reason="5.x never repeats commands")
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(("command", "again"), [("get", True), ("incr", False)])
async def test_after_a_lost_connection_only_reads_are_sent_again(
    command: str, again: bool, kind: str, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """The connection breaks after the command was sent. GET is repeated and answers; INCR raises and has run once."""
    retune(**PATIENT)
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


@pytest.mark.parametrize("repeats", [0, 2])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_policy_of_the_program_is_respected(kind: str, repeats: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry object that the program passes decides alone on retries at a silent server, as without redispan."""
    module = redis if kind == "sync" else redis.asyncio
    retry_module = redis.retry if kind == "sync" else redis.asyncio.retry
    waits = AskedWaits(monkeypatch)

    async def waited() -> int:
        """Return how often a call runs into its timeout before it fails."""
        with silent_port() as port:
            policy = retry_module.Retry(redis.backoff.NoBackoff(), repeats)
            client = module.Redis(host="127.0.0.1", port=port, retry=policy, socket_timeout=0.05)
            with waits.of_one_caller() as waits_s, pytest.raises(redis.TimeoutError):
                await settle(client.get("k"))
            await close(client)
        return len(waits_s)

    tuned = await waited()
    RedispanInstrumentor().uninstrument()
    plain = await waited()
    # redis-py repeats the health check of each attempt as often, including the one that redispan switches on.
    assert plain <= tuned <= plain * (repeats + 1)


@pytest.mark.parametrize("build", [tuned_pool, tuned_async_pool])
async def test_a_pool_by_hand_works_without_the_instrumentation(
    build: Any, redis_server: RedisServer, fault_proxy: FaultProxy
) -> None:
    """tuned_pool() returns a plain pool with the same values, waiting and retries. Arguments override the values."""
    RedispanInstrumentor().uninstrument()
    pool = build(fault_proxy.url, max_connections=1, **{**PATIENT, "pool_socket_timeout_s": 0.5})
    assert type(pool).__name__ == "ConnectionPool"
    assert (pool.max_connections, pool.connection_kwargs["socket_timeout"]) == (1, 0.5)
    module = redis if build is tuned_pool else redis.asyncio
    client = module.Redis(connection_pool=pool)
    fault_proxy.refuse()
    state = pool.redispan_state
    opener = after(0, lambda: (wait_until(lambda: state.connect_failures > 2, "attempts"), fault_proxy.start()))
    assert await settle(client.incr("n")) == 1
    opener.join()
    assert await settle(client.blpop("nothing", 0.75)) is None
    if build is tuned_async_pool:
        assert sorted(await asyncio.gather(*(client.incr("n") for _ in range(20)))) == list(range(2, 22))
    await close(client)
    await settle(pool.disconnect())
    # Other pools keep their own values.
    assert "socket_timeout" not in redis.ConnectionPool().connection_kwargs


@pytest.mark.parametrize("kind", SINGLE)
async def test_what_never_opened_was_never_closed(kind: str) -> None:
    """redispan counts attempts to connect to a silent server as connect failures, not as closed connections."""
    with silent_port() as port:
        client = make(kind, "127.0.0.1", port)
        with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
            await settle(client.get("k"))
        (found,) = [pool for pool in pools_in_effect() if pool["name"].startswith(f"127.0.0.1:{port}/")]
        await close(client)
    assert found["connect_failures"] > 0
    assert (found["created"], found["closed"]) == (0, {})
