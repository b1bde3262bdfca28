"""The shells around giving a connection back to its pool, and around closing the pool."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from redispan._client import block_budget, pool_seam, pool_waiting
from redispan._client.pool_state import PoolState
from redispan._core.ledger import LEDGER
from redispan._core.pools import POOLS

Method = Callable[..., Any]


def release_shell(original: Method) -> Method:
    """Sync ``release``."""
    on_used = POOLS.on_used

    @functools.wraps(original)
    def release(self: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            connection.redispan_holder = 0  # before it is free: afterwards it may be another's already
        except Exception:
            LEDGER.telemetry_error("pool")
        try:
            return original(self, connection, *args, **kwargs)
        finally:
            try:
                state = self.redispan_state
                if state is not None:
                    if state.surplus:
                        _trim(state, self, connection)
                    if connection.redispan_hold is not None or state.waiters or on_used:
                        _given_back(state, connection)
            except Exception:
                LEDGER.telemetry_error("pool")

    return release


def async_release_shell(original: Method) -> Method:
    """Async ``release``."""
    on_used = POOLS.on_used

    @functools.wraps(original)
    async def release(self: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            connection.redispan_holder = 0  # before it is free: afterwards it may be another's already
        except Exception:
            LEDGER.telemetry_error("pool")
        try:
            return await original(self, connection, *args, **kwargs)
        finally:
            try:
                state = self.redispan_state
                if state is not None:
                    if connection.redispan_hold is not None or state.waiters or on_used:
                        _given_back(state, connection)
                    if state.surplus and not state.waiters:
                        await _trim_async(state, self, connection)
            except Exception:
                LEDGER.telemetry_error("pool")

    return release


def _trim(state: PoolState, pool: Any, connection: Any) -> None:
    """Close a connection that was opened beyond the soft limit, once nobody waits for it."""
    if state.waiters:
        return
    allowed = int(pool.max_connections) + state.parked(pool_seam.leased(pool))
    if pool_seam.take_surplus(pool, connection, allowed):
        connection.disconnect()
    elif pool_seam.created(pool) <= allowed:
        state.surplus = 0


async def _trim_async(state: PoolState, pool: Any, connection: Any) -> None:
    allowed = int(pool.max_connections) + state.parked(pool_seam.leased(pool))
    if pool_seam.take_surplus_async(pool, connection, allowed):
        await connection.disconnect()
    elif pool_seam.total(pool) <= allowed:
        state.surplus = 0


def _given_back(state: PoolState, connection: Any) -> None:
    """A connection was given back: nothing of its last use may reach the next."""
    if getattr(connection, "redispan_hold", None) is not None:
        block_budget.end(connection)
    if state.waiters:
        pool_waiting.wake_one(state)
    lent_s = getattr(connection, "redispan_lent_s", None)
    if lent_s is not None:
        connection.redispan_lent_s = None
        POOLS.call(POOLS.on_used, state.name, time.monotonic() - lent_s)


def disconnect_shell(original: Method) -> Method:
    """Sync ``ConnectionPool.disconnect``, which closing comes down to."""

    @functools.wraps(original)
    def disconnect(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        finally:
            _closed(self, args, kwargs)

    return disconnect


def async_disconnect_shell(original: Method) -> Method:
    """Async ``ConnectionPool.disconnect``, likewise."""

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
