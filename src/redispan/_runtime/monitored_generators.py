"""Monitored runs of generators: a run is what the body of the generator does, from the first item to the end.

The operations and the time of the consumer between two items do not belong to the run.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Token
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from redispan._insight.work import ActiveRun
from redispan._runtime.runtime import current


class _Segments:
    """The segments of the monitored run of one generator: entered while its body runs, left while it is suspended."""

    def __init__(self, name: str) -> None:
        self._run = current().figures.monitored.start(name)
        self._token: Token[ActiveRun | None] | None = None
        self._begin_ns = self._duration_ns = 0
        self._failed = False

    def __enter__(self) -> None:
        self._token = current().figures.monitored.resume(self._run)
        self._begin_ns = perf_counter_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._duration_ns += perf_counter_ns() - self._begin_ns
        if self._token is not None:
            current().figures.monitored.pause(self._token)
        # The end of the generator is no failure, and neither is a consumer that closes it.
        self._failed = kind is not None and not issubclass(kind, (StopIteration, StopAsyncIteration, GeneratorExit))

    def end(self) -> None:
        """Finish the monitored run, because the generator has ended."""
        current().figures.monitored.finish(self._run, self._duration_ns, failed=self._failed)


def watch(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a generator function, so that each of its generators is a monitored run.

    The result is a generator function too, because frameworks check for that.

    Args:
        name: The name of the runs.
        function: The generator function.
    """

    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        segments = _Segments(name)
        try:
            inner = function(*args, **kwargs)
            del args, kwargs  # this generator must keep nothing alive that a bare one would not
            items: list[Any] = []
            resume, given = inner.send, None
            while True:
                try:
                    with segments:
                        items.append(resume(given))
                except StopIteration as end:
                    return end.value
                finally:
                    given = None  # an exception raised here would refer to itself through this frame
                try:
                    resume, given = inner.send, (yield items.pop())
                except BaseException as error:
                    resume, given = inner.throw, error
        finally:
            segments.end()

    return watched


def watch_async(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The async version of ``watch``. The time that the body of the generator awaits belongs to the run."""

    @functools.wraps(function)
    async def watched(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        segments = _Segments(name)
        try:
            inner = function(*args, **kwargs)
            del args, kwargs  # this generator must keep nothing alive that a bare one would not
            items: list[Any] = []
            resume, given = inner.asend, None
            while True:
                try:
                    with segments:
                        items.append(await resume(given))
                except StopAsyncIteration:
                    return
                finally:
                    given = None
                try:
                    resume, given = inner.asend, (yield items.pop())
                except BaseException as error:
                    resume, given = inner.athrow, error
        finally:
            segments.end()

    return watched
