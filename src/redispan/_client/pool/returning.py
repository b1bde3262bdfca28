"""The shells around releasing a connection to its pool, and around closing the pool."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool import block_budget, waiting
from redispan._client.pool.state import PoolState
from redispan._core.slot import SLOT

Method = Callable[..., Any]


def release_shell(original: Method) -> Method:
    """Wrap sync ``release``: clear the connection, then wake a waiter or close a surplus connection."""
    on_used = SLOT.runtime.pool_sources.on_used

    @functools.wraps(original)
    def release(self: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        state = hold = None
        try:
            # All of this comes before the release, because another caller may hold the connection right after it.
            state = self.redispan_state
            connection.redispan_holder = 0
            hold = connection.redispan_hold
            if hold is not None or on_used:
                _clear(state, connection)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        try:
            return original(self, connection, *args, **kwargs)
        finally:
            try:
                if state is not None:
                    if state.waiters:
                        waiting.wake_one(state)
                    elif state.surplus or hold is not None:
                        _trim(state, self, connection, hold)
            except Exception:
                SLOT.runtime.self_metrics.telemetry_error("pool")

    return release


def async_release_shell(original: Method) -> Method:
    """Wrap async ``release``: the async version of ``release_shell``."""
    on_used = SLOT.runtime.pool_sources.on_used

    @functools.wraps(original)
    async def release(self: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        state = hold = None
        try:
            # All of this comes before the release, because another caller may hold the connection right after it.
            state = self.redispan_state
            connection.redispan_holder = 0
            hold = connection.redispan_hold
            if hold is not None or on_used:
                _clear(state, connection)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        try:
            return await original(self, connection, *args, **kwargs)
        finally:
            try:
                if state is not None:
                    if state.waiters:
                        waiting.wake_one(state)
                    elif state.surplus or hold is not None:
                        await _trim_async(state, self, connection, hold)
            except Exception:
                SLOT.runtime.self_metrics.telemetry_error("pool")

    return release


def _clear(state: PoolState | None, connection: Any) -> None:
    """Clear what redispan noted on a connection that is being released, so that none of it reaches the next use."""
    if connection.redispan_hold is not None:
        block_budget.end(connection)
    lent_s = getattr(connection, "redispan_lent_s", None)
    if lent_s is not None and state is not None:
        connection.redispan_lent_s = None
        sources = SLOT.runtime.pool_sources
        sources.call(sources.on_used, state.name, time.monotonic() - lent_s)


def _trim(state: PoolState, pool: Any, connection: Any, hold: block_budget.Hold | None) -> None:
    """Close a connection that was opened beyond the soft limit and that no caller waits for."""
    if not _may_be_surplus(state, pool, hold):
        return
    allowed = _allowed(state, pool, connection_pools.created(pool))
    if connection_pools.take_surplus(pool, connection, allowed):
        connection.disconnect()
    elif connection_pools.created(pool) <= allowed:
        state.surplus = 0


async def _trim_async(state: PoolState, pool: Any, connection: Any, hold: block_budget.Hold | None) -> None:
    if not _may_be_surplus(state, pool, hold):
        return
    allowed = _allowed(state, pool, connection_pools.total(pool))
    if connection_pools.take_surplus_async(pool, connection, allowed):
        # nowait: a pipeline cancelled while it waits here would release its connection again and get a KeyError.
        await connection.disconnect(nowait=True)
    elif connection_pools.total(pool) <= allowed:
        state.surplus = 0


def _may_be_surplus(state: PoolState, pool: Any, hold: block_budget.Hold | None) -> bool:
    if not state.surplus and hold is not None and hold.parked and state.soft_ceiling(pool) is not None:
        state.surplus = 1  # a connection opened while one was parked may be surplus once that one is back
    return bool(state.surplus)


def _allowed(state: PoolState, pool: Any, existing: int) -> int:
    limit = int(pool.max_connections)
    return limit if existing <= limit else limit + state.parked(connection_pools.leased(pool))


def disconnect_shell(original: Method) -> Method:
    """Wrap sync ``ConnectionPool.disconnect``, which closing a pool calls: note that the pool is closed."""

    @functools.wraps(original)
    def disconnect(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        finally:
            _closed(self, args, kwargs)

    return disconnect


def async_disconnect_shell(original: Method) -> Method:
    """Wrap async ``ConnectionPool.disconnect``: the async version of ``disconnect_shell``."""

    @functools.wraps(original)
    async def disconnect(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(self, *args, **kwargs)
        finally:
            _closed(self, args, kwargs)

    return disconnect


def _closed(pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    state = pool.redispan_state
    if state is not None and (args[0] if args else kwargs.get("inuse_connections", True)):
        state.closed = True
        state.active = False
