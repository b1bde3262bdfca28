"""``redispan.monitor("checkout")``: what Redis did in one named piece of work. And ``redispan.on_alert``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import Token
from time import perf_counter_ns
from types import TracebackType
from typing import Any, TypeVar, cast

from redispan._core.records import Alert
from redispan._core.slot import SLOT
from redispan._insight.facts import work_figures
from redispan._insight.findings import repeated_calls
from redispan._insight.report_figures import Finding, WorkFigures
from redispan._insight.work import ActiveRun, MonitoredRun, RunTotals
from redispan._runtime import monitored_generators
from redispan._runtime.runtime import current

Function = TypeVar("Function", bound=Callable[..., Any])

_NAME_LENGTH = 100


class monitor:  # noqa: N801 - it is used like a function
    """Watches the Redis operations of one piece of work; a context manager (``with``, ``async with``) and a decorator.

    Operations of threads that the work starts aren't seen unless they run in a copy of its context; those of tasks
    are. Pieces of work may be nested: an operation belongs to all of those around it.

    Example:
        with redispan.monitor("checkout") as work:
            ...
        print(work.figures().operations_per_run)
    """

    def __init__(self, name: str) -> None:
        """Name the work.

        Args:
            name: Its name: one of few, such as a route or a job, never an id.
        """
        self.name = str(name)[:_NAME_LENGTH]
        self._run: MonitoredRun | None = None
        self._token: Token[ActiveRun | None] | None = None
        self._begin_ns = 0
        self._work = RunTotals()

    def __enter__(self) -> monitor:
        """The work begins."""
        self._run, self._token = current().figures.monitored.begin(self.name)
        self._begin_ns = perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """The work is over."""
        run, token = self._run, self._token
        if run is None or token is None:
            return
        duration_ns = perf_counter_ns() - self._begin_ns
        self._run = self._token = None
        failed = error is not None
        current().figures.monitored.end(run, token, duration_ns, failed=failed)
        self._work.absorb(run, duration_ns, failed=failed)

    async def __aenter__(self) -> monitor:
        """The work begins."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """The work is over."""
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Function) -> Function:
        """Watch every call of ``function``, which may be a coroutine function.

        Of a generator function, sync or async, the work is what its body does from the first item to the end.
        """
        name = self.name
        if inspect.isasyncgenfunction(function):
            return cast("Function", monitored_generators.watch_async(name, function))
        if inspect.isgeneratorfunction(function):
            return cast("Function", monitored_generators.watch(name, function))
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def watched_async(*args: Any, **kwargs: Any) -> Any:
                with monitor(name):
                    return await function(*args, **kwargs)

            return cast("Function", watched_async)

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            with monitor(name):
                return function(*args, **kwargs)

        return cast("Function", watched)

    def figures(self) -> WorkFigures:
        """Statistics and slowest operations of what ran under this object, once it is over."""
        return work_figures(self.name, self._work.as_data())

    def findings(self) -> tuple[Finding, ...]:
        """What to change about it."""
        return tuple(repeated_calls.look_at(self.name, self._work.as_data()))


def on_alert(callback: Callable[[Alert], Any]) -> Callable[[], None]:
    """Call ``callback`` with every alert that is told (see ``Alert``), on the thread that met it: be quick.

    A slow operation that was held back at first is told on a thread of redispan's, or on the next one that comes by.

    Returns:
        A function that takes the callback off again.
    """
    return SLOT.runtime.alerts.subscribe(callback)
