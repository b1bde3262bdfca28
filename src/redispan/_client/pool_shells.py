"""The shells around a pool's methods: lend, give back, make, close. Free of cost but for a few reads on a good path."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redispan._client import block_budget, pool_connecting, pool_seam, pool_state, pool_waiting, retrying
from redispan._client.pool_state import PoolState
from redispan._core import observing
from redispan._core.ledger import LEDGER
from redispan._core.pools import POOLS
from redispan.pool_settings import PoolSettings

Method = Callable[..., Any]
Attach = Callable[[Any], "PoolState | None"]


def _awake(state: PoolState | None, pool: Any, attach: Attach) -> PoolState | None:
    """The pool's companion: made for a pool older than redispan, revived after a fork or a close."""
    try:
        if state is None:
            state = attach(pool)
        if state is not None and (state.closed or not state.active):
            pool_state.activate(state, pool)
    except Exception:
        LEDGER.telemetry_error("pool")
    return state


def get_connection_shell(original: Method, attach: Attach) -> Method:
    """Sync ``ConnectionPool.get_connection``: wait where it would raise, retry where it may."""
    on_waited, get_ident = POOLS.on_waited, threading.get_ident

    @functools.wraps(original)
    def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = _awake(state, self, attach)
            if state is None:
                return original(self, *args, **kwargs)
        start_s = time.monotonic() if on_waited else 0.0
        if state.waiters and state.tuned:
            connection = _lend(state, self, functools.partial(original, self, *args, **kwargs), None)
        else:
            try:
                connection = original(self, *args, **kwargs)
            except Exception as error:
                get = functools.partial(original, self, *args, **kwargs)
                connection = _lend(state, self, get, error)
        try:
            connection.redispan_holder = get_ident()
            state.count_use()
        except Exception:
            LEDGER.telemetry_error("pool")
        if start_s:
            _note_lending(state, connection, start_s)
        return connection

    return get_connection


def _lend(state: PoolState, pool: Any, get: Callable[[], Any], error: BaseException | None) -> Any:
    """The slow path: the pool is exhausted, others are waiting, or connecting failed."""
    if error is None or pool_waiting.is_exhaustion(error):
        if not state.tuned:
            if error is not None:
                state.exhausted += 1
                raise error
            return get()
        return pool_waiting.wait_in_thread(state, pool, functools.partial(_connected, state, pool, get))
    return pool_connecting.again(state, pool, get, error)


def _connected(state: PoolState, pool: Any, get: Callable[[], Any]) -> Any:
    try:
        return get()
    except Exception as error:
        if pool_waiting.is_exhaustion(error):
            raise
        return pool_connecting.again(state, pool, get, error)


def async_get_connection_shell(original: Method, attach: Attach) -> Method:
    """Async ``ConnectionPool.get_connection``, likewise."""
    on_waited, current_task = POOLS.on_waited, asyncio.current_task

    @functools.wraps(original)
    async def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = _awake(state, self, attach)
            if state is None:
                return await original(self, *args, **kwargs)
        start_s = time.monotonic() if on_waited else 0.0
        if state.waiters and state.tuned:
            connection = await _lend_async(state, self, functools.partial(original, self, *args, **kwargs), None)
        else:
            try:
                connection = await original(self, *args, **kwargs)
            except Exception as error:
                get = functools.partial(original, self, *args, **kwargs)
                connection = await _lend_async(state, self, get, error)
        try:
            connection.redispan_holder = id(current_task())
            state.count_use()
        except Exception:
            LEDGER.telemetry_error("pool")
        if start_s:
            _note_lending(state, connection, start_s)
        return connection

    return get_connection


async def _lend_async(
    state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]], error: BaseException | None
) -> Any:
    if error is None or pool_waiting.is_exhaustion(error):
        if not state.tuned:
            if error is not None:
                state.exhausted += 1
                raise error
            return await get()
        return await pool_waiting.wait_in_task(state, pool, functools.partial(_connected_async, state, pool, get))
    return await pool_connecting.again_async(state, pool, get, error)


async def _connected_async(state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await get()
    except Exception as error:
        if pool_waiting.is_exhaustion(error):
            raise
        return await pool_connecting.again_async(state, pool, get, error)


def _lent(state: PoolState, connection: Any, holder: int) -> None:
    try:
        connection.redispan_holder = holder
        state.count_use()
    except Exception:
        LEDGER.telemetry_error("pool")


def _note_lending(state: PoolState, connection: Any, start_s: float) -> None:
    now = time.monotonic()
    connection.redispan_lent_s = now
    POOLS.call(POOLS.on_waited, state.name, now - start_s)


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


def make_connection_shell(original: Method) -> Method:
    """Sync ``make_connection``, which the pool calls under its own lock: the one place that knows its limit."""

    @functools.wraps(original)
    def make_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.tuned or not pool_seam.is_full(self):
            return _made(state, original(self, *args, **kwargs))
        count = pool_seam.created(self)
        if pool_waiting.may_exceed(state, self, count):
            limit = self.max_connections
            self.max_connections = count + 1
            try:
                connection = original(self, *args, **kwargs)
            finally:
                self.max_connections = limit
            _note_surplus(state)
            return _made(state, connection)
        try:
            return _made(state, original(self, *args, **kwargs))
        except Exception as error:
            pool_waiting.mark_exhaustion(error)
            raise

    return make_connection


def blocking_make_shell(original: Method) -> Method:
    """``make_connection`` of pools that keep their limit elsewhere, and of async ones."""

    @functools.wraps(original)
    def make_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        return _made(state, original(self, *args, **kwargs))

    return make_connection


def get_available_shell(original: Method) -> Method:
    """Async ``get_available_connection``: one step of the event loop, and the one place that knows the limit."""

    @functools.wraps(original)
    def get_available_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.tuned or pool_seam.has_free(self):
            return original(self, *args, **kwargs)
        count = pool_seam.total(self)
        if pool_waiting.may_exceed(state, self, count):
            limit = self.max_connections
            self.max_connections = count + 1
            try:
                connection = original(self, *args, **kwargs)
            finally:
                self.max_connections = limit
            _note_surplus(state)
            return connection
        try:
            return original(self, *args, **kwargs)
        except Exception as error:
            pool_waiting.mark_exhaustion(error)
            raise

    return get_available_connection


def _note_surplus(state: PoolState) -> None:
    state.surplus += 1
    if pool_waiting.exceeding.get():
        state.exceeded += 1
        LEDGER.add("pool_events", "exceeded")


def _made(state: PoolState | None, connection: Any) -> Any:
    try:
        retrying.bind(connection)
        connection.redispan_pool_state = state
    except Exception:
        LEDGER.telemetry_error("pool")
    return connection


def blocking_get_shell(original: Method, attach: Attach) -> Method:
    """Sync ``BlockingConnectionPool.get_connection``: it waits itself, so only the wait is measured."""

    @functools.wraps(original)
    def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = _awake(state, self, attach)
            if state is None:
                return original(self, *args, **kwargs)
        start_s = time.monotonic()
        dry = pool_seam.queue_is_empty(self)
        operation = observing.running() if dry else None
        connect_ns = operation.connect_ns if operation is not None else 0
        try:
            connection = original(self, *args, **kwargs)
        except Exception as error:
            if not dry or not pool_seam.is_wait_timeout(error):
                get = functools.partial(original, self, *args, **kwargs)
                connection = pool_connecting.again(state, self, get, error)
            else:
                _note_own_wait(state, operation, connect_ns, start_s, in_vain=True)
                state.tell("exhausted", self, time.monotonic() - start_s, "no connection came free in time")
                raise
        if dry:
            _note_own_wait(state, operation, connect_ns, start_s, in_vain=False)
        _lent(state, connection, threading.get_ident())
        if POOLS.on_waited:
            _note_lending(state, connection, start_s)
        return connection

    return get_connection


def async_blocking_get_shell(original: Method, attach: Attach) -> Method:
    """Async ``BlockingConnectionPool.get_connection``, likewise."""

    @functools.wraps(original)
    async def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = _awake(state, self, attach)
            if state is None:
                return await original(self, *args, **kwargs)
        start_s = time.monotonic()
        dry = not pool_seam.has_free(self)
        operation = observing.running() if dry else None
        connect_ns = operation.connect_ns if operation is not None else 0
        try:
            connection = await original(self, *args, **kwargs)
        except Exception as error:
            if not dry or not pool_seam.is_wait_timeout(error):
                get = functools.partial(original, self, *args, **kwargs)
                connection = await pool_connecting.again_async(state, self, get, error)
            else:
                _note_own_wait(state, operation, connect_ns, start_s, in_vain=True)
                state.tell("exhausted", self, time.monotonic() - start_s, "no connection came free in time")
                raise
        if dry:
            _note_own_wait(state, operation, connect_ns, start_s, in_vain=False)
        _lent(state, connection, id(asyncio.current_task()))
        if POOLS.on_waited:
            _note_lending(state, connection, start_s)
        return connection

    return get_connection


def _note_own_wait(state: PoolState, operation: Any, connect_ns: int, start_s: float, *, in_vain: bool) -> None:
    waited_s = time.monotonic() - start_s
    if operation is not None:
        waited_s = max(0.0, waited_s - (operation.connect_ns - connect_ns) / 1e9)
        operation.pool_wait_ns += int(waited_s * 1e9)
    with state.lock:
        state.exhausted += 1
    state.note_wait(waited_s, in_vain=in_vain)


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


def attacher(settings: PoolSettings, *, tuned: bool) -> Attach:
    """What gives a pool its companion when it is first used: a pool that was there before redispan is only watched."""

    def attach(pool: Any) -> PoolState | None:
        if settings.pool == "off":
            return None
        return pool_state.attach(pool, settings, tuned=tuned)

    return attach
