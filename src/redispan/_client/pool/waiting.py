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

from redispan._client.internals import connection_pools
from redispan._client.pool import sizing
from redispan._client.pool.state import PoolState
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
    return any(getattr(connection, "redispan_holder", 0) == me for connection in connection_pools.leased(pool))


def may_exceed(state: PoolState, pool: Any, count: int) -> bool:
    """Whether a pool with ``count`` connections, at its limit, may open one more now."""
    ceiling = state.soft_ceiling(pool)
    if ceiling is None or count >= ceiling:
        return False
    if exceeding.get():
        return True
    return bool(count - state.parked(connection_pools.leased(pool)) < pool.max_connections)


class _Ticket:
    """One caller's place in the queue.

    Attributes:
        called: A connection came free for it.
        trying: It is getting a connection just now, which may mean to open one, and holds nobody up meanwhile.
    """

    __slots__ = ("called", "trying")

    def __init__(self) -> None:
        self.called = False
        self.trying = False

    @property
    def is_dead(self) -> bool:
        """Nobody will ever come back for it."""
        return False


class _ThreadTicket(_Ticket):
    __slots__ = ("_event",)

    def __init__(self) -> None:
        super().__init__()
        self._event = threading.Event()

    def call(self) -> None:
        self.called = True
        self._event.set()

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)

    def begin(self) -> None:
        self.called = False
        self.trying = True
        self._event.clear()


class _TaskTicket(_Ticket):
    __slots__ = ("_loop", "_waker")

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._waker: asyncio.Future[None] | None = None

    @property
    def is_dead(self) -> bool:
        return self._loop.is_closed()

    def call(self) -> None:
        self.called = True
        try:
            if asyncio.get_running_loop() is self._loop:
                self._wake()
                return
        except RuntimeError:
            pass
        # Given back from another loop or thread.
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return

    def _wake(self) -> None:
        waker = self._waker
        if waker is not None and not waker.done():
            waker.set_result(None)

    async def wait(self, seconds: float) -> None:
        if self.called:
            return
        # Not asyncio.wait_for: up to Python 3.11 it loses a cancellation that comes together with the call.
        self._waker = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._wake)
        try:
            await self._waker
        finally:
            timer.cancel()

    def begin(self) -> None:
        self.called = False
        self.trying = True


def wake_one(state: PoolState) -> None:
    """A connection came free: call the first in the queue who waits and has not been called.

    If there is none, whoever is trying will look once more should that fail, or else pass the call on.
    """
    with state.lock:
        trying = None
        for ticket in state.waiters:
            if ticket.called or ticket.is_dead:
                continue
            if not ticket.trying:
                ticket.call()
                return
            trying = trying or ticket
        if trying is not None:
            trying.call()


def _join(state: PoolState, ticket: Any) -> None:
    with state.lock:
        state.waiters.append(ticket)


def _leave(state: PoolState, ticket: Any) -> None:
    with state.lock:
        try:
            state.waiters.remove(ticket)
        except ValueError:
            return  # a forked child started afresh
    # Whoever was called and leaves, without a connection or with an earlier one, passes the call on.
    if ticket.called:
        wake_one(state)


def _is_turn(state: PoolState, ticket: Any) -> bool:
    if ticket.called:
        return True
    with state.lock:
        for other in state.waiters:
            if not (other.trying or other.is_dead):
                return other is ticket
    return False


class _Wait:
    """The bookkeeping of one wait, shared by threads and tasks."""

    def __init__(self, state: PoolState, ticket: Any) -> None:
        self.state = state
        self.ticket = ticket
        self.start_s = time.monotonic()
        self.until_s = self.start_s + state.wait_limit_s
        with state.lock:
            state.exhausted += 1

    def remaining_s(self) -> float:
        return self.until_s - time.monotonic()

    def ended(self, *, in_vain: bool) -> float:
        waited_s = time.monotonic() - self.start_s
        _leave(self.state, self.ticket)
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
    in_vain = False
    waited_s = 0.0
    try:
        while (remaining_s := wait.remaining_s()) > 0:
            if _is_turn(state, wait.ticket):
                wait.ticket.begin()
                try:
                    return get()
                except Exception as failure:
                    if not is_exhaustion(failure):
                        raise
                wait.ticket.trying = False
            wait.ticket.wait(min(remaining_s, _LOOK_AGAIN_S))
        in_vain = True
    finally:
        waited_s = wait.ended(in_vain=in_vain)
        for _ in range(sizing.after_wait(state, pool, waited_s)):
            wake_one(state)  # those who wait for a connection given back may open one now
    return _exceed(state, pool, get, waited_s)


async def wait_in_task(state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]]) -> Any:
    """Likewise, for coroutines."""
    if holds_one(pool, id(asyncio.current_task())) or state.wait_limit_s <= 0:
        return await _exceed_async(state, pool, get, 0.0)
    wait = _Wait(state, _TaskTicket())
    _join(state, wait.ticket)
    in_vain = False
    waited_s = 0.0
    try:
        while (remaining_s := wait.remaining_s()) > 0:
            if _is_turn(state, wait.ticket):
                wait.ticket.begin()
                try:
                    return await get()
                except Exception as failure:
                    if not is_exhaustion(failure):
                        raise
                wait.ticket.trying = False
            await wait.ticket.wait(min(remaining_s, _LOOK_AGAIN_S))
        in_vain = True
    finally:
        waited_s = wait.ended(in_vain=in_vain)
        for _ in range(sizing.after_wait(state, pool, waited_s)):
            wake_one(state)  # those who wait for a connection given back may open one now
    return await _exceed_async(state, pool, get, waited_s)


def _exceed(state: PoolState, pool: Any, get: Callable[[], Any], waited_s: float) -> Any:
    """One connection beyond a soft limit, or the library's own exception."""
    token = exceeding.set(True)
    try:
        return get()
    except Exception as failure:
        if is_exhaustion(failure):
            state.notify("exhausted", pool, waited_s, "no connection came free in time")
        raise
    finally:
        exceeding.reset(token)


async def _exceed_async(state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]], waited_s: float) -> Any:
    token = exceeding.set(True)
    try:
        return await get()
    except Exception as failure:
        if is_exhaustion(failure):
            state.notify("exhausted", pool, waited_s, "no connection came free in time")
        raise
    finally:
        exceeding.reset(token)
