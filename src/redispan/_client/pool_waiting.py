"""Waiting for a connection of an exhausted pool: bounded, first come first served, safe to cancel.

The pool's class and its own limit stay. Whoever finds no connection queues here; each one given back wakes the first
in the queue who has not been woken yet, and newcomers queue behind. A caller that already holds a connection of the
pool never waits: what it waits for might be in its own hands.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from redispan._client import pool_seam, pool_sizing
from redispan._client.pool_state import PoolState
from redispan._core import observing

_LOOK_AGAIN_S = 0.25
"""A connection can come free unseen (dropped, not given back), so that the first in the queue looks now and then."""

exceeding: ContextVar[bool] = ContextVar("redispan_exceeding", default=False)
"""This caller may open one connection beyond a soft limit."""


def mark_exhaustion(error: BaseException) -> None:
    """Note on ``error`` that the pool had no connection left."""
    try:
        error.redispan_exhausted = True  # type: ignore[attr-defined]
    except Exception:
        return


def is_exhaustion(error: BaseException) -> bool:
    """Whether ``error`` says that the pool had no connection left."""
    return bool(getattr(error, "redispan_exhausted", False))


def holds_one(pool: Any, me: int) -> bool:
    """Whether the caller ``me`` has a connection of ``pool`` already."""
    return any(getattr(connection, "redispan_holder", 0) == me for connection in pool_seam.leased(pool))


def may_exceed(state: PoolState, pool: Any, count: int) -> bool:
    """Whether a pool with ``count`` connections, at its limit, may open one more now."""
    ceiling = state.soft_ceiling(pool)
    if ceiling is None or count >= ceiling:
        return False
    if exceeding.get():
        return True
    return bool(count - state.parked(pool_seam.leased(pool)) < pool.max_connections)


class _ThreadTicket:
    __slots__ = ("_event", "called")

    def __init__(self) -> None:
        self._event = threading.Event()
        self.called = False

    def call(self) -> None:
        self.called = True
        self._event.set()

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)

    def rearm(self) -> None:
        self.called = False
        self._event.clear()


class _TaskTicket:
    __slots__ = ("_event", "_loop", "called")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self.called = False

    def call(self) -> None:
        self.called = True
        try:
            if asyncio.get_running_loop() is self._loop:
                self._event.set()
                return
        except RuntimeError:
            pass
        # Given back from another loop or thread.
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return

    async def wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except asyncio.TimeoutError:
            return

    def rearm(self) -> None:
        self.called = False
        self._event.clear()


def wake_one(state: PoolState) -> None:
    """A connection came free: call the first in the queue who has not been called."""
    with state.lock:
        for ticket in state.waiters:
            if not ticket.called:
                ticket.call()
                return


def _join(state: PoolState, ticket: Any) -> None:
    with state.lock:
        state.waiters.append(ticket)


def _leave(state: PoolState, ticket: Any, *, served: bool) -> None:
    with state.lock:
        try:
            state.waiters.remove(ticket)
        except ValueError:
            return  # a forked child started afresh
    # Who was called and leaves without the connection passes the call on.
    if ticket.called and not served:
        wake_one(state)


def _is_turn(state: PoolState, ticket: Any) -> bool:
    waiters = state.waiters
    return ticket.called or (bool(waiters) and waiters[0] is ticket)


class _Wait:
    """The bookkeeping of one wait, shared by threads and tasks."""

    def __init__(self, state: PoolState, ticket: Any) -> None:
        self.state = state
        self.ticket = ticket
        self.start_s = time.monotonic()
        self.until_s = self.start_s + state.wait_limit_s
        self.served = False
        with state.lock:
            state.exhausted += 1

    def remaining_s(self) -> float:
        return self.until_s - time.monotonic()

    def ended(self, *, in_vain: bool) -> float:
        waited_s = time.monotonic() - self.start_s
        _leave(self.state, self.ticket, served=self.served)
        self.state.note_wait(waited_s, in_vain=in_vain)
        operation = observing.running()
        if operation is not None:
            operation.pool_wait_ns += int(waited_s * 1e9)
        return waited_s


def wait_in_thread(state: PoolState, pool: Any, get: Callable[[], Any]) -> Any:
    """Wait for a connection, and return what ``get`` returns once there is one."""
    if holds_one(pool, threading.get_ident()) or state.wait_limit_s <= 0:
        return _exceed(state, pool, get, 0.0)
    wait = _Wait(state, _ThreadTicket())
    _join(state, wait.ticket)
    in_vain = True
    waited_s = 0.0
    try:
        while (remaining_s := wait.remaining_s()) > 0:
            if _is_turn(state, wait.ticket):
                wait.ticket.rearm()
                try:
                    connection = get()
                except Exception as failure:
                    if not is_exhaustion(failure):
                        in_vain = False
                        raise
                else:
                    wait.served = True
                    in_vain = False
                    return connection
            wait.ticket.wait(min(remaining_s, _LOOK_AGAIN_S))
    finally:
        waited_s = wait.ended(in_vain=in_vain)
        for _ in range(pool_sizing.after_wait(state, pool, waited_s)):
            wake_one(state)  # those who wait for a connection given back may open one now
    return _exceed(state, pool, get, waited_s)


async def wait_in_task(state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]]) -> Any:
    """Likewise, for coroutines."""
    if holds_one(pool, id(asyncio.current_task())) or state.wait_limit_s <= 0:
        return await _exceed_async(state, pool, get, 0.0)
    wait = _Wait(state, _TaskTicket())
    _join(state, wait.ticket)
    in_vain = True
    waited_s = 0.0
    try:
        while (remaining_s := wait.remaining_s()) > 0:
            if _is_turn(state, wait.ticket):
                wait.ticket.rearm()
                try:
                    connection = await get()
                except Exception as failure:
                    if not is_exhaustion(failure):
                        in_vain = False
                        raise
                else:
                    wait.served = True
                    in_vain = False
                    return connection
            await wait.ticket.wait(min(remaining_s, _LOOK_AGAIN_S))
    except asyncio.CancelledError:
        in_vain = False
        raise
    finally:
        waited_s = wait.ended(in_vain=in_vain)
        for _ in range(pool_sizing.after_wait(state, pool, waited_s)):
            wake_one(state)  # those who wait for a connection given back may open one now
    return await _exceed_async(state, pool, get, waited_s)


def _exceed(state: PoolState, pool: Any, get: Callable[[], Any], waited_s: float) -> Any:
    """One connection beyond a soft limit, or the library's own exception."""
    token = exceeding.set(True)
    try:
        return get()
    except Exception as failure:
        if is_exhaustion(failure):
            state.tell("exhausted", pool, waited_s, "no connection came free in time")
        raise
    finally:
        exceeding.reset(token)


async def _exceed_async(state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]], waited_s: float) -> Any:
    token = exceeding.set(True)
    try:
        return await get()
    except Exception as failure:
        if is_exhaustion(failure):
            state.tell("exhausted", pool, waited_s, "no connection came free in time")
        raise
    finally:
        exceeding.reset(token)
