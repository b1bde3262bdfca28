"""The detection of slow operations: which ones are slow, where their time went, and how often redispan reports them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic, time_ns
from typing import Any, Protocol

from redispan._core.alert_book import AlertBook
from redispan._core.operation import Operation
from redispan._core.rate_limit import RateLimit
from redispan._core.records import SlowOperation
from redispan._core.slow_alerts import detect

KEPT = 100
"""How many slow operations are kept for reports."""


class SpanSide(Protocol):
    """What the detection needs from spans. The telemetry package implements it."""

    def alert_ns(self, operation: Operation, own_ns: int) -> int:
        """Return the threshold for this operation, in nanoseconds.

        It is ``own_ns``, unless the program added a slow-span processor itself: then its threshold applies.
        """

    def judge(self, operation: Operation) -> tuple[str, str]:
        """Mark the operation's span as judged. Return its trace id and span id as text, empty outside a trace."""

    def place(self, operation: Operation) -> Any:
        """Return the trace context for a deferred alert, small enough to be kept until then."""


class SlowDetector:
    """The detector of slow operations. The observer passes it the operations of at least ``floor_ns``."""

    def __init__(
        self,
        *,
        log_ms: float,
        alert_ms: float,
        book: AlertBook,
        spans: SpanSide,
        emit: Callable[..., None],
        log: Callable[[SlowOperation, int], None],
        log_interval_s: float = 10.0,
        clock_s: Callable[[], float] = monotonic,
        wall_ns: Callable[[], int] = time_ns,
    ) -> None:
        """Create a detector.

        Args:
            log_ms: Operations that take at least so long are logged; 0 logs none.
            alert_ms: Operations that take at least so long are slow; 0 means none.
            book: The alert history. It counts detections and decides which alerts are emitted.
            spans: What the detection needs from spans.
            emit: Emits an alert. A deferred alert comes with the context that ``spans.place`` returned.
            log: Logs an operation. Its second argument is how many operations of the same kind were held back.
            log_interval_s: At most one operation of a kind is logged per interval.
            clock_s: A monotonic clock.
            wall_ns: The time of day.
        """
        self.log_ns = int(log_ms * 1e6)
        self.alert_ns = int(alert_ms * 1e6)
        self._book = book
        self._spans = spans
        self._emit = emit
        self._log = log
        self._log_limit = RateLimit(log_interval_s, clock_s, book.deferred)
        self._wall_ns = wall_ns
        self.recent: deque[SlowOperation] = deque(maxlen=KEPT)

    def reset(self) -> None:
        """Forget the slow operations and the state of the log's rate limit."""
        self.recent.clear()
        self._log_limit.reset()

    def judge(self, operation: Operation, error: str | None) -> None:
        """Judge an operation that took at least ``floor_ns``."""
        duration_ns = operation.duration_ns
        alert_ns = self._spans.alert_ns(operation, self.alert_ns)
        slow = 0 < alert_ns <= duration_ns and not operation.blocking
        if slow:
            operation.slow = operation.remarkable = True
            operation.slow_threshold_ns = alert_ns
        trace_id, span_id = self._spans.judge(operation)
        if operation.blocking or not (slow or 0 < self.log_ns <= duration_ns):
            return
        endpoint = operation.endpoint
        record = SlowOperation(
            command=operation.info.name,
            endpoint=endpoint.label,
            address=endpoint.address,
            port=endpoint.port,
            db=endpoint.db,
            duration_ms=duration_ns / 1e6,
            pool_wait_ms=operation.pool_wait_ns / 1e6,
            connect_ms=operation.connect_ns / 1e6,
            backoff_ms=operation.backoff_ns / 1e6,
            retries=operation.retries,
            error=error,
            at_unix_ns=self._wall_ns(),
            trace_id=trace_id,
            span_id=span_id,
        )
        self.recent.append(record)
        if slow:
            place = self._spans.place(operation)
            detect(self._book, record, alert_ns, self._emit, lambda alert: self._emit(alert, place))
        else:
            late = partial(self._log, record)
            held_back = self._log_limit.admit((record.endpoint, record.command), late)
            if held_back is not None:
                self._log(record, held_back)
