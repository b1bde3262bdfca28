"""A full pool: waiting for a connection is bounded, fair and safe to cancel."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from behaviour.asked_waits import AskedWaits
from behaviour.tuned_clients import PATIENT, figures, retune
from clients import acquire, close, settle, take_connection
from redispan import RedispanInstrumentor
from redispan._client.internals import connection_pools
from redispan._core import observing
from redispan._core.pool_sources import PoolEvent
from redispan._core.slot import SLOT
from servers.redis_server import RedisServer
from waiting import wait_until, wait_until_async

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]

# No caller may give up waiting, because how long many callers take depends on the machine.
TUNING = PATIENT


def run_threads(count: int, work: Callable[[], None]) -> list[BaseException]:
    """Run ``work`` in many threads and return the exceptions that it raised."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_two_hundred_threads_share_fifty_connections(redis_server: RedisServer) -> None:
    """Every caller succeeds. The pool opens at most 50 connections, and every operation runs once."""
    client = redis.Redis(port=redis_server.port)

    def work() -> None:
        for _ in range(10):
            client.incr("n")

    assert run_threads(200, work) == []
    assert redis_server.call("GET", "n") == "2000"
    found = figures(client.connection_pool)
    assert (found["used"], found["pending"], found["exceeded"], found["timeouts"]) == (0, 0, 0, 0)
    assert found["idle"] == found["created"] <= 50
    assert found["uses"] == 2000


@pytest.mark.parametrize("built", ["Redis", "from_url"])
async def test_a_thousand_tasks_share_fifty_connections(built: str, redis_server: RedisServer) -> None:
    """A pool of 50 connections serves 1000 tasks. Plain redis-py 8 fails 900 of them."""
    client = (
        redis.asyncio.Redis(port=redis_server.port)
        if built == "Redis"
        else redis.asyncio.Redis.from_url(redis_server.url)
    )
    answers = await asyncio.gather(*(client.incr("n") for _ in range(1000)))
    assert sorted(answers) == list(range(1, 1001))
    found = figures(client.connection_pool)
    assert found["created"] <= 50
    assert (found["used"], found["pending"]) == (0, 0)
    await close(client)


def test_who_holds_a_connection_never_waits(redis_server: RedisServer) -> None:
    """50 threads that each hold a WATCH and send a GET all succeed. None of them waits for another's connection."""
    client = redis.Redis(port=redis_server.port)
    all_hold = threading.Barrier(50)

    def work() -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("k")
            all_hold.wait(60)
            client.get("k")
            all_hold.wait(60)

    assert run_threads(50, work) == []
    assert client.connection_pool.redispan_state.waits == 0
    found = figures(client.connection_pool)
    # Every thread needs one connection beyond the limit. The last threads may not need to open one, because they can
    # use those that the first threads release.
    assert 1 <= found["exceeded"] <= 50
    assert found["idle"] <= 50  # the pool closes again what it opened beyond the limit
    assert client.connection_pool.max_connections == 50


def test_parked_connections_do_not_use_up_the_limit(redis_server: RedisServer) -> None:
    """60 blocked readers leave room for a command, which does not have to wait."""
    client = redis.Redis(port=redis_server.port)
    readers = [threading.Thread(target=client.blpop, args=("q", 60)) for _ in range(60)]
    for reader in readers:
        reader.start()
    wait_until(lambda: figures(client.connection_pool)["parked"] == 60, "all to be parked")
    state = client.connection_pool.redispan_state
    before = state.waits  # while most readers still connect, the last ones may wait
    client.ping()
    assert (state.waits, figures(client.connection_pool)["parked"]) == (before, 60)
    redis_server.call_all(*[("RPUSH", "q", "x")] * 60)
    for reader in readers:
        reader.join()
    found = figures(client.connection_pool)
    assert (found["parked"], found["used"]) == (0, 0)
    assert found["idle"] <= 50  # the pool closes what it opened beyond the limit


async def test_sixty_subscribers_leave_room(redis_server: RedisServer) -> None:
    """The pool counts the connections of 60 subscriptions as parked, too. A command does not have to wait."""
    client = redis.asyncio.Redis(port=redis_server.port)
    subscribers = []
    for _ in range(60):
        pubsub = client.pubsub()
        await pubsub.subscribe("news")
        subscribers.append(pubsub)
    assert await client.get("x") is None
    assert figures(client.connection_pool)["parked"] == 60
    assert client.connection_pool.redispan_state.waits == 0
    for pubsub in subscribers:
        await close(pubsub)
    found = figures(client.connection_pool)
    assert (found["parked"], found["used"]) == (0, 0)
    assert connection_pools.total(client.connection_pool) <= 50  # the pool closes what it opened beyond the limit
    await close(client)


@pytest.mark.parametrize("limited_by", ["program", "hard"])
def test_a_hard_limit_raises_the_librarys_exception_after_the_wait(
    limited_by: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool keeps a limit that the program set, or that pool_limit=hard sets.

    A caller gets redis-py's own exception after the wait.
    """
    wait_s = 0.4
    by_setting = {"pool_limit": "hard", "pool_max_connections": 1} if limited_by == "hard" else {}
    retune(**{**PATIENT, "pool_wait_s": wait_s}, **by_setting)
    client = redis.Redis(port=redis_server.port, **({} if by_setting else {"max_connections": 1}))
    heard: list[PoolEvent] = []
    SLOT.runtime.pool_sources.listen(heard.append)
    asked = AskedWaits(monkeypatch)

    def want_another() -> None:
        with asked.of_one_caller() as waits_s, pytest.raises(redis.ConnectionError, match="Too many connections"):
            client.get("x")
        assert 0 < sum(waits_s) <= wait_s

    held = acquire(client.connection_pool)
    assert run_threads(1, want_another) == []
    assert figures(client.connection_pool)["timeouts"] == 1
    assert [event.kind for event in heard] == ["exhausted"]
    assert heard[0].waited_s >= wait_s
    client.connection_pool.release(held)
    assert client.ping()
    SLOT.runtime.pool_sources.forget(heard.append)


def test_waiting_is_first_come_first_served(redis_server: RedisServer) -> None:
    """The pool serves waiting callers in the order in which they came."""
    client = redis.Redis(port=redis_server.port, max_connections=1)
    state = client.connection_pool.redispan_state
    held = acquire(client.connection_pool)
    threads = [threading.Thread(target=client.rpush, args=("served", number)) for number in range(8)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        wait_until(lambda: len(state.waiters) == number, "the next in the queue", pause_s=0.001)  # noqa: B023
    assert figures(client.connection_pool)["pending"] == 8
    client.connection_pool.release(held)
    for thread in threads:
        thread.join()
    assert redis_server.call("LRANGE", "served", 0, -1) == [str(number) for number in range(8)]


async def test_cancelled_waiters_lose_nothing(redis_server: RedisServer) -> None:
    """Tasks that are cancelled while they wait, connect or read leak no connection.

    The pool serves the next waiting task.
    """
    client = redis.asyncio.Redis(port=redis_server.port, max_connections=3)
    for pause_s in [0.0, 0.0005, 0.001, 0.002, 0.005] * 6:
        tasks = [asyncio.create_task(client.get("x")) for _ in range(20)]
        await asyncio.sleep(pause_s)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert not any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[1::2])
    found = figures(client.connection_pool)
    assert (found["used"], found["pending"]) == (0, 0)
    assert await client.ping()
    await close(client)


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_an_operation_knows_how_long_it_waited(mode: str, redis_server: RedisServer) -> None:
    """redispan records on each operation how long it waited for a connection."""
    waited: list[int] = []
    module = redis if mode == "sync" else redis.asyncio
    client = module.Redis(port=redis_server.port, max_connections=1)

    def watch(operation: Any) -> None:
        waited.append(operation.pool_wait_ns)

    recorder = RedispanInstrumentor()._patches
    assert recorder is not None
    observers = _observers_of(client)
    observers._observers.append(type("Watch", (), {"started": None, "finished": staticmethod(watch)})())
    observers._rebuild()
    held = await take_connection(client.connection_pool)
    start_ns = time.perf_counter_ns()
    waiter = asyncio.create_task(client.ping() if mode == "async" else asyncio.to_thread(client.ping))
    await wait_until_async(lambda: figures(client.connection_pool)["pending"], "the operation to wait")
    seen_ns = time.perf_counter_ns()
    await asyncio.sleep(0.1)
    held_ns = time.perf_counter_ns() - seen_ns
    await settle(client.connection_pool.release(held))
    await waiter
    assert held_ns <= waited[0] <= time.perf_counter_ns() - start_ns
    await close(client)


def _observers_of(client: Any) -> observing.Observers:
    """Return the observers that the patched ``execute_command`` calls."""
    shell = type(client).execute_command
    begin = next(cell.cell_contents for cell in shell.__closure__ if hasattr(cell.cell_contents, "__self__"))
    return begin.__self__._observers


async def test_giving_back_what_is_closed_then_does_not_pause(redis_server: RedisServer) -> None:
    """Releasing a connection that the pool then closes does not yield to the event loop.

    A task cancelled at such a point would release its connection twice and get a KeyError.
    """
    retune(pool_max_connections=1, pool_wait_s=0)
    client = redis.asyncio.Redis(port=redis_server.port)
    held, surplus = await take_connection(client.connection_pool), await take_connection(client.connection_pool)
    giving_back = client.connection_pool.release(surplus)
    with pytest.raises(StopIteration):
        giving_back.send(None)
    found = figures(client.connection_pool)
    assert (found["used"], found["idle"], sum(found["closed"].values())) == (1, 0, 1)
    await client.connection_pool.release(held)
    await close(client)
