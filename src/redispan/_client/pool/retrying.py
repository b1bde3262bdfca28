"""Retry objects for redis-py that repeat only what cannot run twice; tenacity drives the repetitions.

They replace the library's default retry object, which repeats everything that fails. While nothing fails they cost
less than the default, and redispan does not import tenacity.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Callable
from typing import Any

from redispan._client.internals import clients, connection_pools
from redispan._client.pool import retry_policy
from redispan._client.pool.block_budget import is_subscription
from redispan._client.pool.retry_policy import Contexts
from redispan.settings.pool import PoolSettings

_REJECTIONS = ("ReadOnlyError", "MasterDownError")
"""Error replies after which redis-py does not repeat a command, although the server did not run it."""


def is_tuned(retry: Any) -> bool:
    """Return whether redispan made this retry object."""
    return bool(getattr(retry, "redispan_tuned", False))


def tuned_retry(package: str, like: Any, settings: PoolSettings, *, is_async: bool) -> Any:
    """Return a tuned retry object that repeats as often as ``like``, the library's default.

    Args:
        package: The client package, such as ``redis``.
        like: The library's retry object, whose backoff, number of retries and errors the result takes over.
        settings: The settings in force; ``pool_deadline_s`` bounds each operation.
        is_async: Whether the retry object is for async connections.
    """
    cls = _retry_class(package, is_async)
    exceptions = clients.load(package, "exceptions")
    rejections = tuple(getattr(exceptions, name) for name in _REJECTIONS if hasattr(exceptions, name))
    made = cls(
        connection_pools.backoff_of(like),
        connection_pools.retries_of(like),
        connection_pools.errors_of(like) + rejections,
    )
    made.redispan_deadline_s = settings.pool_deadline_s
    return made


@functools.lru_cache(maxsize=8)
def _retry_class(package: str, is_async: bool) -> Any:
    module: Any = clients.load(package, "asyncio.retry" if is_async else "retry")
    base: Any = module.Retry

    class TunedRetry(base):  # type: ignore[misc]
        """A retry object that repeats what cannot run twice, within the operation's deadline."""

        redispan_tuned = True
        redispan_deadline_s = 10.0
        redispan_connection: Callable[[], Any] = staticmethod(lambda: None)

        def __deepcopy__(self, memo: Any) -> Any:
            copied = type(self)(self._backoff, self._retries, self._supported_errors)
            copied.redispan_deadline_s = self.redispan_deadline_s
            return copied

        def __reduce__(self) -> Any:
            # The process that unpickles this may not have redispan.
            return base, (self._backoff, self._retries, self._supported_errors)

        __hash__ = base.__hash__

        def __eq__(self, other: Any) -> bool:
            return bool(base.__eq__(self, other))

    async def call_async(self: Any, do: Any, fail: Any, *args: Any, **kwargs: Any) -> Any:
        started_s = time.monotonic()
        try:
            return await do()
        except connection_pools.errors_of(self) as error:
            failed = [error]
        # Called outside the handler, so that a later failure does not get the first one as its context.
        return await Recovery(self, fail, args, kwargs, started_s).run_async(failed.pop(), do)

    def call(self: Any, do: Any, fail: Any, *args: Any, **kwargs: Any) -> Any:
        started_s = time.monotonic()
        try:
            return do()
        except connection_pools.errors_of(self) as error:
            failed = [error]
        return Recovery(self, fail, args, kwargs, started_s).run(failed.pop(), do)

    TunedRetry.call_with_retry = call_async if is_async else call
    TunedRetry.__qualname__ = TunedRetry.__name__
    return TunedRetry


class Recovery:
    """The repetitions after a first failure, as long as they are safe, useful and in time."""

    def __init__(
        self, retry: Any, fail: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], started_s: float
    ) -> None:
        """Take over from ``call_with_retry``.

        Args:
            retry: The retry object.
            fail: What ``call_with_retry`` calls after each failure.
            args: The further positional arguments of ``call_with_retry``, after ``do`` and ``fail``.
            kwargs: The further keyword arguments of ``call_with_retry``.
            started_s: When (monotonic) the first attempt began.
        """
        names = ("is_retryable", "with_failure_count")
        options = {**dict(zip(names, args, strict=False)), **kwargs}
        self._retry = retry
        self._fail = fail
        self._is_retryable = options.get("is_retryable")
        self._counts = bool(options.get("with_failure_count"))
        self._failures = 0
        self._connection = retry.redispan_connection()
        retries = connection_pools.retries_of(retry)
        self._attempts = retry_policy.Attempts(
            retry_policy.place_of(self._connection),
            most=1_000_000 if retries < 0 else max(retries, 8) if retries else 0,
            until_s=retry_policy.deadline_s(retry.redispan_deadline_s, started_s),
        )
        self._attempts.started_s = started_s
        self._pause_s: float | None = None
        self._final = False

    def run(self, error: BaseException, do: Callable[[], Any]) -> Any:
        """Repeat ``do``, whose first attempt ended with ``error``, and return its result.

        Raises:
            BaseException: The last failure, once no further attempt is allowed.
        """
        import tenacity

        first: list[BaseException] = [error]
        contexts = Contexts(error)
        del error  # otherwise the error and this frame refer to each other and outlive the call

        def attempt() -> Any:
            if not first:
                self._attempts.attempt_begins()
            try:
                if first:
                    raise first.pop()
                return do()
            except connection_pools.errors_of(self._retry) as failure:
                contexts.note(failure)
                self._final = True  # an error that `fail` raises ends the repetitions
                if self._is_hopeless(failure):
                    raise
                self._failures += 1
                self._fail(*self._fail_arguments(failure))
                self._decide(failure)
                raise
            except BaseException as failure:
                contexts.note(failure)
                self._final = True
                raise

        with contexts:
            return tenacity.Retrying(**self._strategy(tenacity), sleep=_sleep)(attempt)

    async def run_async(self, error: BaseException, do: Callable[[], Any]) -> Any:
        """Repeat the coroutine function ``do``: the async version of ``run``."""
        import asyncio

        import tenacity

        first: list[BaseException] = [error]
        contexts = Contexts(error)
        del error

        async def attempt() -> Any:
            if not first:
                self._attempts.attempt_begins()
            try:
                if first:
                    raise first.pop()
                return await do()
            except connection_pools.errors_of(self._retry) as failure:
                contexts.note(failure)
                self._final = True
                if self._is_hopeless(failure):
                    raise
                self._failures += 1
                await self._fail(*self._fail_arguments(failure))
                self._decide(failure)
                raise
            except BaseException as failure:
                contexts.note(failure)
                self._final = True
                raise

        async def sleep(seconds: float) -> None:
            retry_policy.note_pause(seconds)
            await asyncio.sleep(seconds)

        with contexts:
            return await tenacity.AsyncRetrying(**self._strategy(tenacity), sleep=sleep)(attempt)

    def _strategy(self, tenacity: Any) -> dict[str, Any]:
        return {
            "retry": tenacity.retry_if_exception(lambda _: not self._final),
            "stop": tenacity.stop_never,
            "wait": lambda _: self._pause_s or 0.0,
            "reraise": True,
        }

    def _is_hopeless(self, failure: BaseException) -> bool:
        return self._is_retryable is not None and not self._is_retryable(failure)

    def _fail_arguments(self, failure: BaseException) -> tuple[Any, ...]:
        return (failure, self._failures) if self._counts else (failure,)

    def _decide(self, failure: BaseException) -> None:
        connection = self._connection
        if getattr(connection, "redispan_opening", False):
            # The code that opens the connection repeats the opening as a whole; a nested loop would multiply attempts.
            retry_policy.mark_unsent(failure)
            return
        sent = getattr(connection, "redispan_sent", None)
        if not retry_policy.may_repeat(failure, sent, listener=is_subscription(sent)):
            return
        self._pause_s = self._attempts.next_pause_s(failure)
        if self._pause_s is None:
            mark_exhausted(failure)
        self._final = self._pause_s is None


def _sleep(seconds: float) -> None:
    retry_policy.note_pause(seconds)
    time.sleep(seconds)


def mark_exhausted(error: BaseException) -> None:
    """Mark ``error`` as already retried, so that an outer layer doesn't start over."""
    try:
        error.redispan_retried = True  # type: ignore[attr-defined]
    except Exception:
        return


def was_exhausted(error: BaseException) -> bool:
    """Return whether ``mark_exhausted`` marked ``error`` as already retried."""
    return bool(getattr(error, "redispan_retried", False))


def bind(connection: Any) -> None:
    """Give a new connection's tuned retry object a weak reference to the connection."""
    retry = connection_pools.retry_of(connection)
    if is_tuned(retry):
        retry.redispan_connection = weakref.ref(connection)
