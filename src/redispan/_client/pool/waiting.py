"""Waiting for a connection of an exhausted pool: bounded, first come first served, safe to cancel.

The pool keeps its class and its own limit. A caller that finds no connection joins the queue. Each released connection
wakes the first caller in the queue that has not been woken yet, and new callers join at the end. A caller that already
holds a connection of the pool never waits, because it might wait for its own connection.
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
"""How often the first caller in the queue looks for a connection.

A connection that the program dropped without a release comes free without a wake-up.
"""

exceeding: ContextVar[bool] = ContextVar("redispan_exceeding", default=False)
"""Whether the current caller may open one connection beyond a soft limit."""


def mark_exhaustion(error: BaseException) -> None:
    """Mark ``error`` as raised because the pool had no connection left."""
    try:
        error.redispan_exhausted = True  # type: ignore[attr-defined]
    except Exception:
        return


def is_exhaustion(error: BaseException) -> bool:
    """Return whether ``error`` was raised because the pool had no connection left."""
    return bool(getattr(error, "redispan_exhausted", False))


def holds_one(pool: Any, me: int) -> bool:
    """Return whether the caller ``me`` (a thread's identifier or a task's ``id``) holds a connection of ``pool``."""
    return any(getattr(connection, "redispan_holder", 0) == me for connection in connection_pools.leased(pool))


def may_exceed(state: PoolState, pool: Any, count: int) -> bool:
    """Return whether a pool with ``count`` connections, which is at its limit, may open one more now."""
    ceiling = state.soft_ceiling(pool)
    if ceiling is None or count >= ceiling:
        return False
    if exceeding.get():
        return True
    return bool(count - state.parked(connection_pools.leased(pool)) < pool.max_connections)


class _Ticket:
    """One caller's place in the queue.

    Attributes:
        called: A connection came free for this caller.
        trying: This caller is getting a connection now, and may have to open it; others need not wait behind it.
    """

    __slots__ = ("called", "trying")

    def __init__(self) -> None:
        self.called = False
        self.trying = False

    @property
    def is_dead(self) -> bool:
        """Whether the caller can never return, because its event loop is closed."""
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
        # The connection was released from another event loop or thread.
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
        # asyncio.wait_for would not do: up to Python 3.11 it loses a cancellation that coincides with the wake-up.
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
    """Wake the first caller in the queue that waits and has not been woken, because a connection came free.

    If there is none, wake the first caller that is trying to get a connection. It looks once more if its attempt fails,
    and otherwise wakes the next caller when it leaves.
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
            return  # a fork cleared the queue
    # A caller that leaves without using its wake-up, with an earlier connection or with none, passes it on.
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
    """The start, end and figures of one wait, the same for threads and tasks."""

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
    """Wait in a thread for a connection, and return it.

    The wait lasts ``state.wait_limit_s`` at most. After that, or at once if the caller already holds a connection of
    the pool, one more call of ``get`` may exceed a soft limit.

    Args:
        state: The pool's state.
        pool: The pool.
        get: Returns a connection, or raises an error that ``is_exhaustion`` recognizes if there is none.

    Raises:
        Exception: What ``get`` raises, if that is not exhaustion or if the wait was in vain.
    """
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
            wake_one(state)  # callers that wait for a released connection may open one now
    return _exceed(state, pool, get, waited_s)


async def wait_in_task(state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]]) -> Any:
    """Wait in a task for a connection: the async version of ``wait_in_thread``."""
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
            wake_one(state)  # callers that wait for a released connection may open one now
    return await _exceed_async(state, pool, get, waited_s)


def _exceed(state: PoolState, pool: Any, get: Callable[[], Any], waited_s: float) -> Any:
    """Return a connection, beyond a soft limit if need be, or raise the library's own exception."""
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
