"""Opening, checking and closing connections: counted, bounded, and retried where the library does not retry.

Without redispan, a pool built by ``from_url`` or as ``ConnectionPool(...)`` never retries. Connecting may always be
retried, because no command of the program was written. To keep a program fast while Redis is down, only the first
callers of an outage retry. Once a whole series of attempts has failed, later callers make only the one attempt that
they would make without redispan, until a connection works again.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redispan._client.internals import clients, connection_pools
from redispan._client.pool import block_budget, retry_policy, retrying, waiting
from redispan._client.pool import deadline as pool_deadline
from redispan._client.pool.retry_policy import Contexts
from redispan._client.pool.state import PoolState
from redispan._core.slot import SLOT

Method = Callable[..., Any]


def repetition(state: PoolState, pool: Any, get: Callable[[], Any], error: BaseException) -> Callable[[], Any] | None:
    """Return what calls ``get`` again after ``error``, or None if the caller must get the error."""
    attempts = _plan(state, pool, error)
    return None if attempts is None else functools.partial(_again, _Series(state, attempts, error), get)


def repetition_async(
    state: PoolState, pool: Any, get: Callable[[], Awaitable[Any]], error: BaseException
) -> Callable[[], Awaitable[Any]] | None:
    """Return what calls the coroutine function ``get`` again: the async version of ``repetition``."""
    attempts = _plan(state, pool, error)
    return None if attempts is None else functools.partial(_again_async, _Series(state, attempts, error), get)


def _again(series: _Series, get: Callable[[], Any]) -> Any:
    import tenacity

    def attempt() -> Any:
        return series.run(get)

    def sleep(seconds: float) -> None:
        retry_policy.note_pause(seconds)
        time.sleep(seconds)

    with series.contexts:
        return tenacity.Retrying(**series.strategy(tenacity), sleep=sleep)(attempt)


async def _again_async(series: _Series, get: Callable[[], Awaitable[Any]]) -> Any:
    import asyncio

    import tenacity

    async def attempt() -> Any:
        series.begin()
        try:
            connection = await get()
        except Exception as failure:
            series.failed(failure)
            raise
        return series.succeeded(connection)

    async def sleep(seconds: float) -> None:
        retry_policy.note_pause(seconds)
        await asyncio.sleep(seconds)

    with series.contexts:
        return await tenacity.AsyncRetrying(**series.strategy(tenacity), sleep=sleep)(attempt)


class _Series:
    """One caller's further attempts to get an open connection."""

    def __init__(self, state: PoolState, attempts: retry_policy.Attempts, error: BaseException) -> None:
        self._state = state
        self._attempts = attempts
        self._first: BaseException | None = error
        self.contexts = Contexts(error)
        self._pause_s: float | None = 0.0

    def strategy(self, tenacity: Any) -> dict[str, Any]:
        return {
            "retry": tenacity.retry_if_exception(lambda _: self._pause_s is not None),
            "stop": tenacity.stop_never,
            "wait": lambda _: self._pause_s or 0.0,
            "reraise": True,
        }

    def begin(self) -> None:
        if self._first is not None:
            first, self._first = self._first, None
            self.failed(first)
            raise first
        self._attempts.attempt_begins()

    def run(self, get: Callable[[], Any]) -> Any:
        self.begin()
        try:
            connection = get()
        except Exception as failure:
            self.failed(failure)
            raise
        return self.succeeded(connection)

    def failed(self, failure: BaseException) -> None:
        self.contexts.note(failure)
        again_allowed = _may_pass(failure)
        self._pause_s = self._attempts.next_pause_s(failure) if again_allowed else None
        if self._pause_s is None and again_allowed:
            self._state.outage = True
            retrying.mark_exhausted(failure)

    def succeeded(self, connection: Any) -> Any:
        self._state.outage = False
        return connection


def _plan(state: PoolState, pool: Any, error: BaseException) -> retry_policy.Attempts | None:
    settings = state.settings
    if (
        not state.tuned
        or not settings.pool_retry
        or state.outage
        or retrying.was_exhausted(error)
        or not _may_pass(error)
        or _has_own_policy(pool)
    ):
        return None
    bound = min(settings.pool_connect_retry_s, settings.pool_deadline_s or settings.pool_connect_retry_s)
    if not bound:
        return None
    now = time.monotonic()
    deadline = retry_policy.deadline_s(settings.pool_deadline_s)
    until_s = now + bound if deadline is None else min(now + bound, deadline)
    return retry_policy.Attempts(state.base_name, most=20, until_s=until_s)


def _may_pass(error: BaseException) -> bool:
    """Return whether another attempt to connect may succeed.

    Some errors recur at every attempt: a missing database, an unusable timeout, or an error from the program's own code
    that connecting calls. The caller gets those at once, so that code is called as often as without redispan.
    """
    if waiting.is_exhaustion(error) or connection_pools.is_wait_timeout(error):
        return False
    # No connection was lent, so no command was written. Sentinel without a master fails before one is even opened.
    retry_policy.mark_unsent(error)
    return retry_policy.may_repeat(error, None) and retry_policy.is_trouble(error)


def _has_own_policy(pool: Any) -> bool:
    kwargs = pool.connection_kwargs
    retry = kwargs.get("retry")
    if retry is not None and not retrying.is_tuned(retry):
        return True
    # A key that is present was given by the program, or comes from the defaults of Redis.__init__.
    return bool(kwargs.get("retry_on_timeout") or kwargs.get("retry_on_error"))


def connect_shell(original: Method) -> Method:
    """Wrap sync ``connect``: open the connection with its own timeouts, without a hold that may be in force.

    An error while connecting is marked as unsent, so repeating after it is safe.
    """

    # The check that `clients.is_open` makes, but without a call, because it runs before every command.
    @functools.wraps(original)
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "_sock", None):
            return None  # as every version does first
        opening = _Opening(self)
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            opening.failed(error)
            raise
        opening.succeeded()
        return result

    return connect


def async_connect_shell(original: Method) -> Method:
    """Wrap async ``connect``: the async version of ``connect_shell``."""

    @functools.wraps(original)
    async def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "_writer", None) is not None:
            return None  # as every version does first
        opening = _Opening(self)
        try:
            result = await original(self, *args, **kwargs)
        except BaseException as error:
            opening.failed(error)
            raise
        opening.succeeded()
        return result

    return connect


class _Opening:
    """One opening of a connection."""

    __slots__ = ("_connection", "_in_haste", "_outer", "_start_s", "_suspended")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._outer = connection.redispan_opening
        self._suspended = block_budget.Suspended(connection)
        self._start_s = time.monotonic()
        connection.redispan_opening = True
        self._in_haste = False
        if not self._outer:
            self._keep_deadline(connection)

    def _keep_deadline(self, connection: Any) -> None:
        until_s = retry_policy.deadline_of(connection)
        if until_s is None:
            # The program's operation is not known here, so the deadline counts from this attempt.
            state = connection.redispan_pool_state
            if state is None or not state.tuned or not state.settings.pool_deadline_s:
                return
            until_s = self._start_s + state.settings.pool_deadline_s
        connection.redispan_until_s = until_s
        self._in_haste = True
        pool_deadline.deadline_pressure().begin()

    def _ended(self) -> None:
        connection = self._connection
        connection.redispan_opening = self._outer
        if self._in_haste:
            connection.redispan_until_s = 0.0
            pool_deadline.deadline_pressure().end()
        self._suspended.resume()

    def failed(self, error: BaseException) -> None:
        connection = self._connection
        self._ended()
        if isinstance(error, Exception):
            retry_policy.mark_unsent(error)
            state = connection.redispan_pool_state
            if state is not None:
                state.connect_failures += 1

    def succeeded(self) -> None:
        connection = self._connection
        self._ended()
        state = connection.redispan_pool_state
        if state is not None and not self._outer:
            state.created += 1
            state.outage = False
            sources = SLOT.runtime.pool_sources
            if sources.on_created:
                sources.call(sources.on_created, state.name, time.monotonic() - self._start_s)


def _is_pointless(connection: Any) -> bool:
    """Return whether a health check would run while the connection is being opened, in a version not prepared for it.

    redis-py 5 makes health checks between the commands of the handshake. With a server that accepts connections and
    never replies, the check fails and opens the connection again, which makes another check, and so on without end. The
    handshake's own commands also show whether the server replies.
    """
    state = connection.redispan_pool_state
    if state is None or not state.tuned or not connection.redispan_opening:
        return False
    return not hasattr(type(connection), "connect_check_health")


def health_check_shell(original: Method) -> Method:
    """Wrap sync ``_send_ping``: run the health check with the connection's own timeout.

    A health check writes no command of the program, so its errors are marked as unsent.
    """

    @functools.wraps(original)
    def client_internal(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_pointless(self):
            return None
        suspended = block_budget.Suspended(self)
        try:
            return original(self, *args, **kwargs)
        except Exception as error:
            retry_policy.mark_unsent(error)
            raise
        finally:
            suspended.resume()

    return client_internal


def async_health_check_shell(original: Method) -> Method:
    """Wrap async ``_send_ping``: the async version of ``health_check_shell``."""

    @functools.wraps(original)
    async def client_internal(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _is_pointless(self):
            return None
        suspended = block_budget.Suspended(self)
        try:
            return await original(self, *args, **kwargs)
        except Exception as error:
            retry_policy.mark_unsent(error)
            raise
        finally:
            suspended.resume()

    return client_internal


def close_shell(original: Method) -> Method:
    """Wrap sync ``disconnect`` of a connection: count the reason for closing an open connection."""

    @functools.wraps(original)
    def disconnect(self: Any, *args: Any, **kwargs: Any) -> Any:
        _note_close(self, args, kwargs)
        return original(self, *args, **kwargs)

    return disconnect


def async_close_shell(original: Method) -> Method:
    """Wrap async ``disconnect`` of a connection: the async version of ``close_shell``."""

    @functools.wraps(original)
    async def disconnect(self: Any, *args: Any, **kwargs: Any) -> Any:
        _note_close(self, args, kwargs)
        return await original(self, *args, **kwargs)

    return disconnect


def _note_close(connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        state = connection.redispan_pool_state
        # A connection that fails while it is opened counts as a connect failure; the parent counts inherited ones.
        if state is None or connection.redispan_opening or not connection_pools.is_of_this_process(connection):
            return
        if clients.is_open(connection):
            state.closed_by[connection_pools.close_reason(args, kwargs)] += 1
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error("pool")
