"""A full pool: waiting is bounded, fair and safe to cancel."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from behaviour.every_client import acquire, close, take_connection
from behaviour.tuned_clients import figures
from redispan import RedispanInstrumentor
from redispan._client import pool_seam
from redispan._core import observing
from redispan._core.pools import POOLS, PoolEvent
from servers.redis_server import RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]

TUNING = {"pool_wait_s": 1.5}


@pytest.fixture
def patient(tuned: None) -> None:
    """Nobody gives up waiting: how long a crowd takes is the machine's business."""
    RedispanInstrumentor().uninstrument()
    RedispanInstrumentor().instrument(metrics=False, insight=False, pool_wait_s=60)


def run_threads(count: int, work: Callable[[], None]) -> list[BaseException]:
    """Run ``work`` in many threads and return what went wrong."""
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


@pytest.mark.usefixtures("patient")
def test_two_hundred_threads_share_fifty_connections(redis_server: RedisServer) -> None:
    """Nobody fails, no more than 50 connections are opened, and every operation runs once."""
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


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("built", ["Redis", "from_url"])
async def test_a_thousand_tasks_share_fifty_connections(built: str, redis_server: RedisServer) -> None:
    """As with threads; plain redis-py 8 fails 900 of them."""
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
    """50 threads that each hold a WATCH and send a GET all succeed, and don't wait for each other."""
    client = redis.Redis(port=redis_server.port)
    all_hold = threading.Barrier(50)

    def work() -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("k")
            all_hold.wait(20)
            client.get("k")
            all_hold.wait(20)

    start_s = time.monotonic()
    assert run_threads(50, work) == []
    assert time.monotonic() - start_s < 10
    found = figures(client.connection_pool)
    assert found["exceeded"] == 50
    assert found["idle"] <= 50  # what was opened beyond the limit is closed again
    assert client.connection_pool.max_connections == 50


def test_parked_connections_do_not_use_up_the_limit(redis_server: RedisServer) -> None:
    """60 blocked readers leave room for a command, at once."""
    client = redis.Redis(port=redis_server.port)
    readers = [threading.Thread(target=client.blpop, args=("nothing", 2)) for _ in range(60)]
    for reader in readers:
        reader.start()
    deadline_s = time.monotonic() + 1.8
    while figures(client.connection_pool)["parked"] < 60 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    start_s = time.monotonic()
    client.ping()
    assert time.monotonic() - start_s < 0.5
    assert figures(client.connection_pool)["parked"] == 60
    for reader in readers:
        reader.join()
    found = figures(client.connection_pool)
    assert (found["parked"], found["used"]) == (0, 0)
    assert found["idle"] <= 50  # what was opened beside them is one too many now


async def test_sixty_subscribers_leave_room(redis_server: RedisServer) -> None:
    """Websockets with a subscription each are parked, too."""
    client = redis.asyncio.Redis(port=redis_server.port)
    subscribers = []
    for _ in range(60):
        pubsub = client.pubsub()
        await pubsub.subscribe("news")
        subscribers.append(pubsub)
    assert await asyncio.wait_for(client.get("x"), 1) is None
    assert figures(client.connection_pool)["parked"] == 60
    for pubsub in subscribers:
        await close(pubsub)
    found = figures(client.connection_pool)
    assert (found["parked"], found["used"]) == (0, 0)
    assert pool_seam.total(client.connection_pool) <= 50  # what was opened beside them is one too many now
    await close(client)


@pytest.mark.parametrize("limited_by", ["program", "hard"])
def test_a_hard_limit_raises_the_librarys_exception_after_the_wait(limited_by: str, redis_server: RedisServer) -> None:
    """A limit that the program set, or pool_limit=hard, is kept: the library's own exception, after the wait."""
    options: dict[str, Any] = {"max_connections": 1}
    if limited_by == "hard":
        RedispanInstrumentor().uninstrument()
        RedispanInstrumentor().instrument(
            metrics=False, insight=False, pool_wait_s=0.5, pool_limit="hard", pool_max_connections=1
        )
        options = {}
    client = redis.Redis(port=redis_server.port, **options)
    heard: list[PoolEvent] = []
    POOLS.listen(heard.append)
    waits = 0.5 if limited_by == "hard" else 1.5

    def want_another() -> None:
        start_s = time.monotonic()
        with pytest.raises(redis.ConnectionError, match=r"Too many connections|"):
            client.get("x")
        assert waits - 0.1 < time.monotonic() - start_s < waits + 1

    held = acquire(client.connection_pool)
    assert run_threads(1, want_another) == []
    assert figures(client.connection_pool)["timeouts"] == 1
    assert [event.kind for event in heard] == ["exhausted"]
    client.connection_pool.release(held)
    assert client.ping()
    POOLS.forget(heard.append)


def test_waiting_is_first_come_first_served(redis_server: RedisServer) -> None:
    """Waiters are served in the order in which they came."""
    client = redis.Redis(port=redis_server.port, max_connections=1)
    state = client.connection_pool.redispan_state
    held = acquire(client.connection_pool)
    served: list[int] = []
    threads = []
    for number in range(8):
        thread = threading.Thread(target=lambda number=number: (client.ping(), served.append(number)))
        thread.start()
        threads.append(thread)
        while len(state.waiters) <= number:
            time.sleep(0.001)
    assert figures(client.connection_pool)["pending"] == 8
    client.connection_pool.release(held)
    for thread in threads:
        thread.join()
    # Appending comes after the next one is woken, so neighbours may swap.
    assert all(abs(place - number) <= 1 for place, number in enumerate(served))


async def test_cancelled_waiters_lose_nothing(redis_server: RedisServer) -> None:
    """Tasks cancelled at every stage of waiting, connecting and reading leak no connection and wake the next."""
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
    """The wait for a connection is part of the operation's record."""
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
    if mode == "sync":
        thread = threading.Thread(target=client.ping)
        thread.start()
        await asyncio.sleep(0.3)
        client.connection_pool.release(held)
        thread.join()
    else:
        task = asyncio.create_task(client.ping())
        await asyncio.sleep(0.3)
        await client.connection_pool.release(held)
        await task
    assert 0.2e9 < waited[0] < 1.4e9
    await close(client)


def _observers_of(client: Any) -> observing.Observers:
    """The observers behind the shell of ``execute_command``."""
    shell = type(client).execute_command
    begin = next(cell.cell_contents for cell in shell.__closure__ if hasattr(cell.cell_contents, "__self__"))
    return begin.__self__._observers


async def test_giving_back_what_is_closed_then_does_not_pause(redis_server: RedisServer) -> None:
    """A task that is cancelled there would give its connection back twice, and get KeyError for it."""
    RedispanInstrumentor().uninstrument()
    RedispanInstrumentor().instrument(metrics=False, insight=False, pool_max_connections=1, pool_wait_s=0)
    client = redis.asyncio.Redis(port=redis_server.port)
    held, surplus = await take_connection(client.connection_pool), await take_connection(client.connection_pool)
    giving_back = client.connection_pool.release(surplus)
    with pytest.raises(StopIteration):
        giving_back.send(None)
    found = figures(client.connection_pool)
    assert (found["used"], found["idle"], sum(found["closed"].values())) == (1, 0, 1)
    await client.connection_pool.release(held)
    await close(client)
