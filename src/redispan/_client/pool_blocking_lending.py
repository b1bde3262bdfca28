"""The shells around the lending of pools that wait themselves (``BlockingConnectionPool``): the wait is measured."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from typing import Any

from redispan._client import pool_connecting, pool_seam
from redispan._client.pool_lending import Attach, Method, awake, note_lending
from redispan._client.pool_state import PoolState
from redispan._core import observing
from redispan._core.ledger import LEDGER
from redispan._core.pools import POOLS


def blocking_get_shell(original: Method, attach: Attach) -> Method:
    """Sync ``BlockingConnectionPool.get_connection``: it waits itself, so only the wait is measured."""

    @functools.wraps(original)
    def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = awake(state, self, attach)
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
            note_lending(state, connection, start_s)
        return connection

    return get_connection


def async_blocking_get_shell(original: Method, attach: Attach) -> Method:
    """Async ``BlockingConnectionPool.get_connection``, likewise."""

    @functools.wraps(original)
    async def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = awake(state, self, attach)
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
            note_lending(state, connection, start_s)
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


def _lent(state: PoolState, connection: Any, holder: int) -> None:
    try:
        connection.redispan_holder = holder
        state.count_use()
    except Exception:
        LEDGER.telemetry_error("pool")
