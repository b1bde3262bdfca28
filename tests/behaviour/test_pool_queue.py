"""The queue in front of a full pool: nobody blocks it, nobody is forgotten in it, and a cancellation is one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from behaviour.every_client import acquire, close, settle, take_connection
from behaviour.tuned_clients import cancel, figures
from redispan._client import pool_seam, retry_policy
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from waiting import wait_until

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]

TUNING = {"pool_wait_s": 8, "pool_socket_timeout_s": 8}
SLOW_S = 1.5


def waiting(client: Any) -> int:
    """How many callers wait for a connection."""
    return len(client.connection_pool.redispan_state.waiters)


def test_a_thread_that_connects_does_not_hold_up_the_queue(fault_proxy: FaultProxy) -> None:
    """Who was called and has to open a connection first lets a free one go to the next in the queue."""
    client = redis.Redis(port=fault_proxy.port, max_connections=2)
    closed, open_one = acquire(client.connection_pool), acquire(client.connection_pool)
    took_s: dict[str, float] = {}

    def ping(name: str) -> None:
        start_s = time.monotonic()
        client.ping()
        took_s[name] = time.monotonic() - start_s

    threads = [threading.Thread(target=ping, args=(name,)) for name in ("slow", "quick")]
    threads[0].start()
    wait_until(lambda: waiting(client) == 1, "the first in the queue")
    fault_proxy.default.replies.delay_s = SLOW_S
    closed.disconnect()
    client.connection_pool.release(closed)
    wait_until(lambda: len(fault_proxy.connections) == 3, "the connection that opens slowly")
    threads[1].start()
    time.sleep(0.1)
    client.connection_pool.release(open_one)
    for thread in threads:
        thread.join()
    assert took_s["quick"] < SLOW_S / 2 < SLOW_S <= took_s["slow"]


async def test_a_task_that_connects_does_not_hold_up_the_queue(fault_proxy: FaultProxy) -> None:
    """Likewise with tasks."""
    client = redis.asyncio.Redis(port=fault_proxy.port, max_connections=2)
    closed, open_one = await take_connection(client.connection_pool), await take_connection(client.connection_pool)

    async def ping() -> float:
        start_s = time.monotonic()
        await client.ping()
        return time.monotonic() - start_s

    slow = asyncio.create_task(ping())
    await until(lambda: waiting(client) == 1)
    fault_proxy.default.replies.delay_s = SLOW_S
    await closed.disconnect()
    await client.connection_pool.release(closed)
    await until(lambda: len(fault_proxy.connections) == 3)
    quick = asyncio.create_task(ping())
    await asyncio.sleep(0.1)
    await client.connection_pool.release(open_one)
    assert await quick < SLOW_S / 2 < SLOW_S <= await slow
    await close(client)


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something is so."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


@pytest.mark.parametrize("steps", range(8))
async def test_a_waiter_cancelled_while_it_is_called_ends(steps: int, redis_server: RedisServer) -> None:
    """A cancellation that comes together with a free connection is not lost: the task ends, the next one is served."""
    client = redis.asyncio.Redis(port=redis_server.port, max_connections=1)
    held = await take_connection(client.connection_pool)

    async def poll_for_ever() -> None:
        while True:
            # Not a command: redis-py itself loses a cancellation that comes while it writes one.
            await client.connection_pool.release(await take_connection(client.connection_pool))
            await asyncio.sleep(5)

    task = asyncio.create_task(poll_for_ever())
    await until(lambda: waiting(client) == 1)
    other = asyncio.create_task(client.ping())
    await until(lambda: waiting(client) == 2)
    await client.connection_pool.release(held)
    for _ in range(steps):
        await asyncio.sleep(0)
    await cancel(task, 2)
    assert await asyncio.wait_for(other, 2)
    found = figures(client.connection_pool)
    assert (found["used"], found["pending"], found["timeouts"]) == (0, 0, 0)
    await close(client)


def test_a_thread_that_found_the_pool_full_while_it_tried_again_waits(
    fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who could not connect, and finds the only connection taken at the next attempt, queues for it."""
    client = redis.Redis.from_url(fault_proxy.url, max_connections=1)
    pool = client.connection_pool
    held: list[Any] = []

    def another_takes_it(_: float) -> None:
        fault_proxy.heal()
        other = threading.Thread(target=lambda: held.append(acquire(pool)))
        other.start()
        other.join()
        threading.Timer(0.3, pool.release, held).start()

    fault_proxy.refuse()
    monkeypatch.setattr(retry_policy, "tell_operation", another_takes_it)
    assert client.ping()
    assert held
    assert (figures(pool)["waits"], figures(pool)["used"]) == (1, 0)


async def test_a_task_that_found_the_pool_full_while_it_tried_again_waits(
    fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise with tasks."""
    client = redis.asyncio.Redis.from_url(fault_proxy.url, max_connections=1)
    pool = client.connection_pool
    others: list[asyncio.Task[None]] = []

    async def hold() -> None:
        connection = await take_connection(pool)
        await asyncio.sleep(0.3)
        await pool.release(connection)

    def another_takes_it(_: float) -> None:
        fault_proxy.heal()
        others.append(asyncio.create_task(hold()))

    fault_proxy.refuse()
    monkeypatch.setattr(retry_policy, "tell_operation", another_takes_it)
    assert await client.ping()
    await asyncio.gather(*others)
    assert (figures(pool)["waits"], figures(pool)["used"]) == (1, 0)
    await close(client)


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_pools_own_wait_is_not_repeated(mode: str, redis_server: RedisServer) -> None:
    """A BlockingConnectionPool that was emptied in the moment of asking waits once, as long as the program said."""
    module = redis if mode == "sync" else redis.asyncio
    pool = module.BlockingConnectionPool.from_url(redis_server.url, max_connections=1, timeout=0.4)
    held = await take_connection(pool)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pool_seam, "queue_is_empty", lambda _: False)
        patched.setattr(pool_seam, "has_free", lambda _: True)
        start_s = time.monotonic()
        with pytest.raises(redis.ConnectionError, match="No connection available"):
            await take_connection(pool)
        assert time.monotonic() - start_s < 0.75
    await settle(pool.release(held))
    await settle(pool.disconnect())
