"""``redispan.monitor``, which records the Redis operations of a monitored run, and ``redispan.on_alert``."""

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
    """Records the Redis operations of monitored runs of one name.

    It is a context manager (``with``, ``async with``) and a decorator. Operations of tasks that a run starts are
    included. Operations of threads that it starts are included only if they run in a copy of its context. Runs may be
    nested: an operation belongs to all runs around it. ``redispan.monitoring`` is another thing: it serves reports over
    HTTP.

    Example:
        with redispan.monitor("checkout") as work:
            ...
        print(work.figures().operations_per_run)
    """

    def __init__(self, name: str) -> None:
        """Set the name of the runs.

        Args:
            name: A name of low cardinality, such as a route or a job, never an id. It is cut to 100 characters.
        """
        self.name = str(name)[:_NAME_LENGTH]
        self._run: MonitoredRun | None = None
        self._token: Token[ActiveRun | None] | None = None
        self._begin_ns = 0
        self._work = RunTotals()

    def __enter__(self) -> monitor:
        """Begin a monitored run."""
        self._run, self._token = current().figures.monitored.begin(self.name)
        self._begin_ns = perf_counter_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the monitored run; it counts as failed if the block raised."""
        run, token = self._run, self._token
        if run is None or token is None:
            return
        duration_ns = perf_counter_ns() - self._begin_ns
        self._run = self._token = None
        failed = error is not None
        current().figures.monitored.end(run, token, duration_ns, failed=failed)
        self._work.absorb(run, duration_ns, failed=failed)

    async def __aenter__(self) -> monitor:
        """The async version of ``__enter__``."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """The async version of ``__exit__``."""
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Function) -> Function:
        """Make every call of ``function`` a monitored run. It may be a coroutine function.

        For a generator function, sync or async, the run is what its body does from the first item to the end.
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
        """Return the statistics and the slowest operations of the runs of this object that have ended."""
        return work_figures(self.name, self._work.as_data())

    def findings(self) -> tuple[Finding, ...]:
        """Return the advice for these runs, such as calls that could be one pipeline."""
        return tuple(repeated_calls.look_at(self.name, self._work.as_data()))


def on_alert(callback: Callable[[Alert], Any]) -> Callable[[], None]:
    """Call ``callback`` with every alert that is emitted (see ``Alert``).

    It runs on the thread that detected the alert, so it must be quick. For a deferred alert, it runs on a thread of
    redispan or on the next thread that emits deferred alerts.

    Args:
        callback: The function to call. What it raises is logged and counted.

    Returns:
        A function that removes the callback.

    Raises:
        ValueError: There are 100 callbacks already.
    """
    return SLOT.runtime.alerts.subscribe(callback)
