"""The observer that records every finished operation in a window, and passes slow operations to the detector.

This is the hottest code of the package. It takes no lock, makes almost no calls and keeps no operation.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns

from redispan._core.operation import Operation
from redispan._insight.cache_sampling import STRIDE, CacheSampler
from redispan._insight.slow import SlowDetector
from redispan._insight.statistics import Statistics
from redispan._insight.window import FOLD_EVERY
from redispan._insight.work import MonitoredRuns

TICK_NS = 1_000_000_000
NEVER_NS = 1 << 62


class InsightObserver:
    """The observer that runs first at the end of an operation, so that the others find ``operation.slow`` set."""

    started = None  # nothing to do at the start

    def __init__(
        self,
        statistics: Statistics,
        detector: SlowDetector,
        *,
        error_type: Callable[[BaseException], str | None],
        tick: Callable[[int], None],
        first_span: Callable[[], None],
        works: MonitoredRuns,
        sampler: CacheSampler | None = None,
    ) -> None:
        """Create an observer.

        Args:
            statistics: Holds the windows.
            detector: Judges the slow operations.
            error_type: Returns the label of a failure, or None for an exception of flow control, which is no failure.
            tick: Called about once a second, with the time in nanoseconds of ``perf_counter_ns``.
            first_span: Called at the first operation that has a recording span.
            works: The monitored runs.
            sampler: Samples operations for the cache report, if given.
        """
        self._statistics = statistics
        self._detector = detector
        self._error_type = error_type
        self._tick = tick
        self._first_span: Callable[[], None] | None = first_span
        self._works = works
        self._sampler = sampler
        self._next_tick_ns = 0
        self.countdown = 0
        """Operations until the next sampled one."""
        self.floor_ns = NEVER_NS
        self.lower_floor(detector.log_ns, detector.alert_ns)

    def lower_floor(self, *thresholds_ns: int) -> None:
        """Judge operations from the lowest of these durations on, in nanoseconds. 0 means no threshold."""
        self.floor_ns = min([self.floor_ns, *(value for value in thresholds_ns if value > 0)])

    def tick_soon(self) -> None:
        """Tick at the next operation: a forked child has yet to start what a process starts at its first operation."""
        self._next_tick_ns = 0

    def finished(self, operation: Operation) -> None:
        """Record a finished operation."""
        kind = None
        if operation.remarkable:
            if operation.cache_hit:
                return
            error = operation.error if operation.error is not None else operation.healed_error
            if error is not None:
                kind = self._error_type(error)
        duration_ns = operation.duration_ns
        end_ns = operation.start_ns + duration_ns
        statistics = self._statistics
        windows = statistics.by_endpoint.get(operation.endpoint) or statistics.open(operation.endpoint)
        window = windows.answers if not operation.blocking else windows.blocking
        entries = window.entries
        entries.append((end_ns, duration_ns, operation.info.name, kind, operation.pool_wait_ns))
        if len(entries) > FOLD_EVERY:
            window.fold()
        if kind is not None:
            windows.last_error_ns = end_ns
        if duration_ns >= self.floor_ns:
            self._detector.judge(operation, kind)
        if self._works.running:
            self._works.add(operation, kind)
        self.countdown -= 1
        if self.countdown <= 0:
            self.countdown = self._look_closer(operation)
        if end_ns >= self._next_tick_ns:
            # Two threads may both find the tick due. The second tick then has nothing to do.
            self._next_tick_ns = end_ns + TICK_NS
            self._tick(perf_counter_ns())

    def _look_closer(self, operation: Operation) -> int:
        """Sample the operation, and report the first recording span.

        Returns:
            The number of operations until the next call.
        """
        if self._first_span is not None and operation.span is not None:
            first_span, self._first_span = self._first_span, None
            first_span()
        return self._sampler.sample(operation) if self._sampler is not None else STRIDE
