"""Generators under ``redispan.monitor``: the work is what their bodies do, from the first item to the end.

What the consumer does between two items, and how long it takes for it, is the consumer's.
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
    """One run of a generator: entered while its body runs, left while it is suspended."""

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
        # The end, and a consumer that wants no more, are no failure.
        self._failed = kind is not None and not issubclass(kind, (StopIteration, StopAsyncIteration, GeneratorExit))

    def end(self) -> None:
        """The generator is done."""
        current().figures.monitored.finish(self._run, self._duration_ns, failed=self._failed)


def watch(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, a generator function, with every run of its generators watched as work of this name.

    The result is a generator function too, as frameworks look for.
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
                    given = None  # what is raised now would hold itself
                try:
                    resume, given = inner.send, (yield items.pop())
                except BaseException as error:
                    resume, given = inner.throw, error
        finally:
            segments.end()

    return watched


def watch_async(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for an async generator function; the time that its body awaits counts as its own."""

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
