"""The queue of callers at a full pool: no caller blocks it or is forgotten in it, and a cancelled caller ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis
import redis.asyncio

from behaviour.tuned_clients import cancel, figures
from clients import close, settle, take_connection
from redispan._client.internals import connection_pools
from redispan._client.pool import retry_policy
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from waiting import PATIENCE_S, wait_until_async

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]

HELD_S = 30.0
"""No wait of these tests ends by its timeout: each test decides itself when to release what it holds."""
TUNING = {"pool_wait_s": HELD_S, "pool_socket_timeout_s": HELD_S, "pool_deadline_s": HELD_S}
sync_and_async = pytest.mark.parametrize("module", [redis, redis.asyncio], ids=["sync", "async"])


def waiting(client: Any) -> int:
    """Return how many callers wait for a connection."""
    return len(client.connection_pool.redispan_state.waiters)


def beside(module: Any, call: Callable[[], Any]) -> asyncio.Future[Any]:
    """Make a call beside the test: in a thread, or in a task."""
    return asyncio.ensure_future(asyncio.to_thread(call) if module is redis else call())


@sync_and_async
async def test_who_connects_does_not_hold_up_the_queue(module: Any, fault_proxy: FaultProxy) -> None:
    """A waiting caller that has to open a connection first does not block the queue.

    A free connection goes to the next caller.
    """
    client = module.Redis(port=fault_proxy.port, max_connections=2)
    pool = client.connection_pool
    closed, open_one = await take_connection(pool), await take_connection(pool)
    slow = beside(module, client.ping)
    await wait_until_async(lambda: waiting(client) == 1, "the first in the queue")
    fault_proxy.default.replies.hold = True
    await settle(closed.disconnect())
    await settle(pool.release(closed))
    await wait_until_async(lambda: len(fault_proxy.connections) == 3, "the connection that is not answered yet")
    quick = beside(module, client.ping)
    await wait_until_async(lambda: waiting(client) == 2, "the next in the queue")
    await settle(pool.release(open_one))
    done, _ = await asyncio.wait([slow, quick], return_when=asyncio.FIRST_COMPLETED)
    fault_proxy.connections[2].replies.hold = False
    assert await asyncio.gather(slow, quick) == [True, True]
    assert done == {quick}
    await close(client)


@pytest.mark.parametrize("steps", range(8))
async def test_a_waiter_cancelled_while_it_is_called_ends(steps: int, redis_server: RedisServer) -> None:
    """A cancellation that comes together with a free connection is not lost.

    The task ends, and the pool serves the next one.
    """
    client = redis.asyncio.Redis(port=redis_server.port, max_connections=1)
    held = await take_connection(client.connection_pool)

    async def poll_for_ever() -> None:
        while True:
            # It sends no command, because redis-py itself loses a cancellation that comes while it writes one.
            await client.connection_pool.release(await take_connection(client.connection_pool))
            await asyncio.sleep(5)

    task = asyncio.create_task(poll_for_ever())
    await wait_until_async(lambda: waiting(client) == 1, "the task in the queue")
    other = asyncio.create_task(client.ping())
    await wait_until_async(lambda: waiting(client) == 2, "the next in the queue")
    await client.connection_pool.release(held)
    for _ in range(steps):
        await asyncio.sleep(0)
    await cancel(task, HELD_S)
    assert await asyncio.wait_for(other, HELD_S)
    found = figures(client.connection_pool)
    assert (found["used"], found["pending"], found["timeouts"]) == (0, 0, 0)
    await close(client)


@sync_and_async
async def test_who_found_the_pool_full_while_it_tried_again_waits(
    module: Any, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that could not connect, and finds the only connection taken at its next attempt, waits for it."""
    client = module.Redis.from_url(fault_proxy.url, max_connections=1)
    pool = client.connection_pool
    loop = asyncio.get_running_loop()
    others: list[Any] = []

    async def hold() -> None:
        connection = await take_connection(pool)
        others.append(asyncio.ensure_future(give_back(connection)))

    async def give_back(connection: Any) -> None:
        await wait_until_async(lambda: waiting(client) == 1, "the caller to queue")
        await settle(pool.release(connection))

    def another_takes_it(_: float) -> None:
        fault_proxy.heal()
        if module is redis:
            # The caller is in a thread, which goes on once the connection is taken.
            asyncio.run_coroutine_threadsafe(hold(), loop).result(PATIENCE_S)
        else:
            # The caller sleeps next and this task runs meanwhile, so the connection is taken before the caller opens
            # one.
            others.append(asyncio.ensure_future(hold()))

    fault_proxy.refuse()
    monkeypatch.setattr(retry_policy, "note_pause", another_takes_it)
    assert await beside(module, client.ping)
    assert others
    await asyncio.gather(*others)
    assert (figures(pool)["waits"], figures(pool)["used"]) == (1, 0)
    await close(client)


@sync_and_async
async def test_a_pools_own_wait_is_not_repeated(module: Any, redis_server: RedisServer) -> None:
    """A BlockingConnectionPool that was emptied just as a caller asked waits once, as long as the program set."""
    pool = module.BlockingConnectionPool.from_url(redis_server.url, max_connections=1, timeout=0.05)
    held = await take_connection(pool)
    waits: list[Any] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(connection_pools, "queue_is_empty", lambda _: False)
        patched.setattr(connection_pools, "has_free", lambda _: True)
        place, method = (pool.pool, "get") if module is redis else (pool._condition, "wait_for")
        patched.setattr(place, method, noted(getattr(place, method), waits))
        with pytest.raises(redis.ConnectionError, match="No connection available"):
            await take_connection(pool)
    assert waits == ([{"block": True, "timeout": 0.05}] if module is redis else [{}])
    await settle(pool.release(held))
    await settle(pool.disconnect())


def noted(call: Callable[..., Any], calls: list[Any]) -> Callable[..., Any | Coroutine[Any, Any, Any]]:
    """Return the same call, which also records its named arguments in ``calls``."""

    def noting(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        return call(*args, **kwargs)

    return noting
