"""Monitored runs: the operations that belong to a run of a named piece of work, for ``redispan.monitor``."""

from __future__ import annotations

import threading
from collections import deque
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any

from redispan._core.operation import Operation
from redispan._insight.window import Entry, Totals, Window, add_totals

NAMES_LIMIT = 100
OTHER = "_OTHER"
RUNS_KEPT = 200
SLOWEST_KEPT = 10
REPEATS_THAT_TELL = 10
"""From so many single calls of one command in a row redispan advises one pipeline or MGET instead."""


class MonitoredRun:
    """A monitored run in progress. It gets operations from every thread and task that runs in a copy of its context."""

    def __init__(self, name: str, size: int, outer: ActiveRun | None) -> None:
        self.name = name
        self.outer = outer
        self.done = False
        self.window = Window(size)
        self.slowest: list[tuple[int, str, str]] = []
        self.longest_repeat: tuple[int, str] = (0, "")
        self._repeat = 0
        self._last_command = ""
        self._lock = threading.RLock()

    def add(self, entry: Entry, label: str, *, single: bool) -> None:
        """Add one operation to the run. ``single`` says that it is not a batch."""
        _, duration_ns, command, _, _ = entry
        self.window.add(entry)
        with self._lock:
            self._repeat = self._repeat + 1 if single and command == self._last_command else 1
            self._last_command = command if single else ""
            if single and self._repeat > self.longest_repeat[0]:
                self.longest_repeat = (self._repeat, command)
            if len(self.slowest) < SLOWEST_KEPT or duration_ns > self.slowest[-1][0]:
                self.slowest.append((duration_ns, command, label))
                self.slowest.sort(reverse=True)
                del self.slowest[SLOWEST_KEPT:]


class Segment:
    """One segment of a run that pauses and resumes. It is nested in the run that is current when it starts."""

    def __init__(self, run: MonitoredRun, outer: ActiveRun | None) -> None:
        self.run = run
        self.outer = outer

    @property
    def done(self) -> bool:
        """Whether the run is over."""
        return self.run.done

    def add(self, entry: Entry, label: str, *, single: bool) -> None:
        """Add one operation to the run. ``single`` says that it is not a batch."""
        self.run.add(entry, label, single=single)


ActiveRun = MonitoredRun | Segment


@dataclass
class RunTotals:
    """The totals of all runs of one name."""

    runs: int = 0
    failed_runs: int = 0
    total_ns: int = 0
    longest_ns: int = 0
    longest_repeat: tuple[int, str] = (0, "")

    def __post_init__(self) -> None:
        self.totals: Totals = {}
        self.error_types: dict[str, int] = {}
        self.durations_ns: deque[int] = deque(maxlen=RUNS_KEPT)
        self.slowest: list[tuple[int, str, str]] = []

    def absorb(self, run: MonitoredRun, duration_ns: int, *, failed: bool) -> None:
        """Add a finished run.

        Args:
            run: The run.
            duration_ns: How long it took.
            failed: Whether it ended with an exception.
        """
        self.runs += 1
        self.failed_runs += failed
        self.total_ns += duration_ns
        self.longest_ns = max(self.longest_ns, duration_ns)
        self.durations_ns.append(duration_ns)
        _, totals, error_types = run.window.read()
        add_totals(self.totals, totals)
        for kind, count in error_types.items():
            self.error_types[kind] = self.error_types.get(kind, 0) + count
        self.slowest = sorted(self.slowest + run.slowest, reverse=True)[:SLOWEST_KEPT]
        self.longest_repeat = max(self.longest_repeat, run.longest_repeat)

    def as_data(self) -> dict[str, Any]:
        """Return the totals as plain data."""
        return {
            "runs": self.runs,
            "failed_runs": self.failed_runs,
            "total_ns": self.total_ns,
            "longest_ns": self.longest_ns,
            "durations_ns": list(self.durations_ns),
            "totals": {command: list(figures) for command, figures in self.totals.items()},
            "error_types": dict(self.error_types),
            "slowest": [list(found) for found in self.slowest],
            "longest_repeat": list(self.longest_repeat),
        }


class MonitoredRuns:
    """The monitored runs of this process.

    Attributes:
        running: How many runs are active. While it is 0, an operation costs only one comparison.
    """

    def __init__(self, size: int = 1000) -> None:
        """Create a collection without runs.

        Args:
            size: Operations kept per run.
        """
        self._size = size
        self._current: ContextVar[ActiveRun | None] = ContextVar("redispan_work", default=None)
        self.reset()

    def reset(self) -> None:
        """Forget all runs."""
        self._lock = threading.RLock()
        self.running = 0
        self._works: dict[str, RunTotals] = {}

    def begin(self, name: str) -> tuple[MonitoredRun, Token[ActiveRun | None]]:
        """Start a run of ``name`` in this context, and make it the current one until ``end``."""
        run = MonitoredRun(name, self._size, self._current.get())
        with self._lock:
            self.running += 1
        return run, self._current.set(run)

    def end(self, run: MonitoredRun, token: Token[ActiveRun | None], duration_ns: int, *, failed: bool) -> None:
        """End a run that ``begin`` started. ``duration_ns`` is how long it took."""
        self.pause(token)
        self.finish(run, duration_ns, failed=failed)

    def start(self, name: str) -> MonitoredRun:
        """Create a run of ``name`` in segments: ``resume`` starts one, ``pause`` ends it, ``finish`` ends the run."""
        return MonitoredRun(name, self._size, None)

    def resume(self, run: MonitoredRun) -> Token[ActiveRun | None]:
        """Start a segment: make ``run`` the current run of this context."""
        outer = around = self._current.get()
        while around is not None and run is not (around.run if isinstance(around, Segment) else around):
            around = around.outer
        with self._lock:
            self.running += 1
        # A run that is already around this context, as in a task that it started, must not count an operation twice.
        return self._current.set(Segment(run, outer) if around is None else outer)

    def pause(self, token: Token[ActiveRun | None]) -> None:
        """End a segment: make the run current again that was current before it."""
        try:
            self._current.reset(token)
        except ValueError:
            pass  # it ended in another context than it began in, so there is nothing to restore
        with self._lock:
            self.running = max(0, self.running - 1)

    def finish(self, run: MonitoredRun, duration_ns: int, *, failed: bool) -> None:
        """End ``run`` and add it to the totals of its name. ``duration_ns`` is how long it took."""
        run.done = True
        with self._lock:
            name = run.name if run.name in self._works or len(self._works) < NAMES_LIMIT else OTHER
            self._works.setdefault(name, RunTotals()).absorb(run, duration_ns, failed=failed)

    def add(self, operation: Operation, error: str | None) -> None:
        """Add an operation to the current run of this context, and to the runs around it."""
        run = self._current.get()
        if run is None or operation.blocking:
            return
        entry = (
            operation.start_ns + operation.duration_ns,
            operation.duration_ns,
            operation.info.name,
            error,
            operation.pool_wait_ns,
        )
        label = operation.endpoint.label
        while run is not None:
            if not run.done:
                run.add(entry, label, single=operation.batch is None)
            run = run.outer

    def snapshot(self) -> dict[str, Any]:
        """Return the totals of all names as plain data."""
        with self._lock:
            return {name: work.as_data() for name, work in self._works.items()}
