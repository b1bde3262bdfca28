"""The shells around ``BlockingConnectionPool.get_connection``. The pool waits itself; redispan measures the wait."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool import connecting
from redispan._client.pool.lending import Method, awake, note_lending
from redispan._client.pool.state import PoolState
from redispan._core import observing
from redispan._core.slot import SLOT


def blocking_get_shell(original: Method) -> Method:
    """Wrap sync ``BlockingConnectionPool.get_connection``: measure its wait, and retry connecting when allowed."""

    @functools.wraps(original)
    def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = awake(state, self)
            if state is None:
                return original(self, *args, **kwargs)
        start_s = time.monotonic()
        wait = _OwnWait(state) if connection_pools.queue_is_empty(self) else None
        repeat = None
        try:
            connection = original(self, *args, **kwargs)
        except Exception as error:
            if wait is not None and connection_pools.is_wait_timeout(error):
                wait.was_in_vain(self)
                raise
            get = functools.partial(original, self, *args, **kwargs)
            repeat = connecting.repetition(state, self, get, error)
            if repeat is None:
                raise
        if repeat is not None:
            connection = repeat()
        if wait is not None:
            wait.ended(in_vain=False)
        _lent(state, connection, threading.get_ident())
        if SLOT.runtime.pool_sources.on_waited:
            note_lending(state, connection, start_s)
        return connection

    return get_connection


def async_blocking_get_shell(original: Method) -> Method:
    """Wrap async ``BlockingConnectionPool.get_connection``: the async version of ``blocking_get_shell``."""

    @functools.wraps(original)
    async def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.active:
            state = awake(state, self)
            if state is None:
                return await original(self, *args, **kwargs)
        start_s = time.monotonic()
        wait = _OwnWait(state) if not connection_pools.has_free(self) else None
        repeat = None
        try:
            connection = await original(self, *args, **kwargs)
        except Exception as error:
            if wait is not None and connection_pools.is_wait_timeout(error):
                wait.was_in_vain(self)
                raise
            get = functools.partial(original, self, *args, **kwargs)
            repeat = connecting.repetition_async(state, self, get, error)
            if repeat is None:
                raise
        if repeat is not None:
            connection = await repeat()
        if wait is not None:
            wait.ended(in_vain=False)
        _lent(state, connection, id(asyncio.current_task()))
        if SLOT.runtime.pool_sources.on_waited:
            note_lending(state, connection, start_s)
        return connection

    return get_connection


class _OwnWait:
    """A wait inside a ``BlockingConnectionPool`` that had no free connection."""

    __slots__ = ("_connect_ns", "_operation", "_start_s", "_state")

    def __init__(self, state: PoolState) -> None:
        self._state = state
        self._operation = observing.running()
        self._connect_ns = 0 if self._operation is None else self._operation.connect_ns
        self._start_s = time.monotonic()

    def ended(self, *, in_vain: bool) -> float:
        state, operation = self._state, self._operation
        waited_s = time.monotonic() - self._start_s
        if operation is not None:
            # The time for opening a connection is measured separately, so it does not count as waiting.
            waited_s = max(0.0, waited_s - (operation.connect_ns - self._connect_ns) / 1e9)
            operation.pool_wait_ns += int(waited_s * 1e9)
        with state.lock:
            state.exhausted += 1
        state.note_wait(waited_s, in_vain=in_vain)
        return waited_s

    def was_in_vain(self, pool: Any) -> None:
        self._state.notify("exhausted", pool, self.ended(in_vain=True), "no connection came free in time")


def _lent(state: PoolState, connection: Any, holder: int) -> None:
    try:
        connection.redispan_holder = holder
        state.count_use()
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error("pool")
