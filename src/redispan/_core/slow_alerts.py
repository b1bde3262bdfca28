"""The alert for a slow operation: every detection is counted, and the alert is emitted as the rate limit allows.

Both detectors use this: the statistics detect slow operations that redispan recorded, and the span processor detects
slow spans of any instrumentation.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from redispan._core.alert_book import AlertBook
from redispan._core.records import DETECTED, SLOW_OPERATION, Alert, SlowOperation

Emit = Callable[[Alert], None]

JUDGED_LIMIT = 4096


class JudgedSpans:
    """The ids of the last ``JUDGED_LIMIT`` spans that were judged, so that no other detector judges them again."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all spans, and make a new lock."""
        self._lock = threading.RLock()
        self._ids: OrderedDict[int, None] = OrderedDict()

    def add(self, span_id: int) -> bool:
        """Remember the span; return False if it was judged already."""
        with self._lock:
            if span_id in self._ids:
                return False
            self._ids[span_id] = None
            if len(self._ids) > JUDGED_LIMIT:
                self._ids.popitem(last=False)
        return True

    def renew_in_child(self) -> None:
        """Forget the parent's spans in a forked child."""
        self.reset()


def detect(
    book: AlertBook, record: SlowOperation, threshold_ns: int, emit: Emit, emit_later: Emit | None = None
) -> None:
    """Count one detection, and emit its alert unless the rate limit holds it back.

    Args:
        book: The alerts of the process, which count the detection.
        record: The slow operation.
        threshold_ns: The threshold that the operation reached.
        emit: Emits the alert now.
        emit_later: Emits the alert later, maybe on another thread, if it is the last one held back. The default is
            ``emit``.
    """

    def emit_counted(emit_by: Emit, held_back: int) -> None:
        if held_back:
            book.self_metrics.dropped("alerts", held_back)
        emit_by(slow_alert(record, threshold_ns, held_back))

    label = (record.address, record.port)
    later = partial(emit_counted, emit_later or emit)
    held_back = book.detect(SLOW_OPERATION, record.endpoint, record.command, *label, late=later)
    if held_back is not None:
        emit_counted(emit, held_back)


def slow_alert(record: SlowOperation, threshold_ns: int, held_back: int) -> Alert:
    """Return the alert for a slow operation, with its phases as evidence."""
    evidence: dict[str, float | int | str] = {"redis.client.operation.duration": record.duration_ms / 1000}
    for name, value_ms in (
        ("redis.client.operation.pool_wait.time", record.pool_wait_ms),
        ("redis.client.operation.connect.time", record.connect_ms),
        ("redis.client.operation.backoff.time", record.backoff_ms),
    ):
        if value_ms:
            evidence[name] = value_ms / 1000
    if record.retries:
        evidence["redis.client.operation.retries"] = record.retries
    if record.error is not None:
        evidence["error.type"] = record.error
    return Alert(
        name=SLOW_OPERATION,
        state=DETECTED,
        message=f"{record.command} on {record.endpoint} took {record.duration_ms:.1f} ms ({record.where()})",
        endpoint=record.endpoint,
        value=record.duration_ms / 1000,
        threshold=threshold_ns / 1e9,
        unit="s",
        at_unix_ns=record.at_unix_ns,
        address=record.address,
        port=record.port,
        db=record.db,
        command=record.command,
        held_back=held_back,
        evidence=evidence,
    )
