"""The shells around ``ConnectionPool.get_connection``, sync and async.

While nothing fails and no caller waits, a shell costs only a few attribute reads.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool import connecting, deadline, sizing, waiting
from redispan._client.pool import state as pool_state
from redispan._client.pool.state import PoolState
from redispan._client.pool.values import settings_in_force
from redispan._core.slot import SLOT

Method = Callable[..., Any]


def awake(state: PoolState | None, pool: Any) -> PoolState | None:
    """Return the pool's state, active.

    It makes the state of a pool that is older than redispan, and reactivates a state after a fork or a close.
    """
    try:
        if state is None:
            # A pool that is older than redispan is watched, never tuned.
            state = pool_state.attach(pool, settings_in_force(), tuned=False)
        if state is not None and (state.closed or not state.active):
            pool_state.activate(state, pool, provisionally=deadline.reading_topology.get())
            sizing.follow(state)
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error("pool")
    return state


def get_connection_shell(original: Method) -> Method:
    """Wrap sync ``ConnectionPool.get_connection``: wait when the pool is exhausted, retry connecting when allowed."""
    on_waited = SLOT.runtime.pool_sources.on_waited

    @functools.wraps(original)
    def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = awake(state, self)
            if state is None:
                return original(self, *args, **kwargs)
        start_s = time.monotonic() if on_waited else 0.0
        if state.waiters and state.tuned:
            connection = _queue_up(state, self, functools.partial(original, self, *args, **kwargs))()
        else:
            way_on = None
            try:
                connection = original(self, *args, **kwargs)
            except Exception as error:
                way_on = _way_on(state, self, functools.partial(original, self, *args, **kwargs), error)
                if way_on is None:
                    raise
            if way_on is not None:
                # Called outside the handler, so that a later failure does not get the first one as its context.
                connection = way_on()
        try:
            # Looked up on each call, because gevent may patch it after redispan was applied.
            connection.redispan_holder = threading.get_ident()
            state.count_use()
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        if start_s:
            note_lending(state, connection, start_s)
        return connection

    return get_connection


def _queue_up(state: PoolState, pool: Any, get: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call that waits for a connection, for a pool that is exhausted or has waiters."""
    return functools.partial(waiting.wait_in_thread, state, pool, functools.partial(_connected, state, pool, get))


def _way_on(state: PoolState, pool: Any, get: Callable[[], Any], error: BaseException) -> Callable[[], Any] | None:
    """Return what to call after ``get`` raised ``error``, or None if the caller must get the error."""
    if not waiting.is_exhaustion(error):
        repeat = connecting.repetition(state, pool, get, error)
        return None if repeat is None else functools.partial(_repeat_or_queue, state, pool, get, repeat)
    if state.tuned:
        return _queue_up(state, pool, get)
    state.exhausted += 1
    return None


def _repeat_or_queue(state: PoolState, pool: Any, get: Callable[[], Any], repeat: Callable[[], Any]) -> Any:
    try:
        return repeat()
    except Exception as error:
        if not waiting.is_exhaustion(error):
            raise
    # Other callers took the free connections meanwhile.
    return _queue_up(state, pool, get)()


def _connected(state: PoolState, pool: Any, get: Callable[[], Any]) -> Any:
    try:
        return get()
    except Exception as error:
        repeat = None if waiting.is_exhaustion(error) else connecting.repetition(state, pool, get, error)
        if repeat is None:
            raise
    return repeat()


def async_get_connection_shell(original: Method) -> Method:
    """Wrap async ``ConnectionPool.get_connection``: the async version of ``get_connection_shell``."""
    on_waited, current_task = SLOT.runtime.pool_sources.on_waited, asyncio.current_task
    lend = connection_pools.lend_side_by_side if connection_pools.lends_under_lock(original) else original

    @functools.wraps(original)
    async def shell(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = awake(state, self)
            if state is None:
                return await original(self, *args, **kwargs)
        get = lend if state.tuned else original
        start_s = time.monotonic() if on_waited else 0.0
        if state.waiters and state.tuned:
            connection = await _queue_up_async(state, self, functools.partial(get, self, *args, **kwargs))()
        else:
            way_on = None
            try:
                connection = await get(self, *args, **kwargs)
            except Exception as error:
                way_on = _way_on_async(state, self, functools.partial(get, self, *args, **kwargs), error)
                if way_on is None:
                    raise
            if way_on is not None:
                connection = await way_on()
        try:
            connection.redispan_holder = id(current_task())
            state.count_use()
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        if start_s:
            note_lending(state, connection, start_s)
        return connection

    return shell


def _queue_up_async(state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    again = functools.partial(_connected_async, state, pool, get)
    return functools.partial(waiting.wait_in_task, state, pool, again)


def _way_on_async(
    state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]], error: BaseException
) -> Callable[[], Awaitable[Any]] | None:
    if not waiting.is_exhaustion(error):
        repeat = connecting.repetition_async(state, pool, get, error)
        return None if repeat is None else functools.partial(_repeat_or_queue_async, state, pool, get, repeat)
    if state.tuned:
        return _queue_up_async(state, pool, get)
    state.exhausted += 1
    return None


async def _repeat_or_queue_async(
    state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]], repeat: Callable[[], Awaitable[Any]]
) -> Any:
    try:
        return await repeat()
    except Exception as error:
        if not waiting.is_exhaustion(error):
            raise
    return await _queue_up_async(state, pool, get)()


async def _connected_async(state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await get()
    except Exception as error:
        exhausted = waiting.is_exhaustion(error)
        repeat = None if exhausted else connecting.repetition_async(state, pool, get, error)
        if repeat is None:
            raise
    return await repeat()


def note_lending(state: PoolState, connection: Any, start_s: float) -> None:
    """Report the time from ``start_s`` (monotonic) to now to the ``on_waited`` callbacks.

    It also notes on the connection when it was lent.
    """
    now = time.monotonic()
    connection.redispan_lent_s = now
    SLOT.runtime.pool_sources.call(SLOT.runtime.pool_sources.on_waited, state.name, now - start_s)
