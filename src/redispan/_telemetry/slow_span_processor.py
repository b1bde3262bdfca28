"""``SlowOperationSpanProcessor``: detects slow Redis operations in anyone's spans.

The only module that names the OpenTelemetry SDK, and only when it is imported.
"""

from __future__ import annotations

import weakref
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind

from redispan._core.alert_book import AlertBook
from redispan._core.commands import identify
from redispan._core.records import SlowOperation
from redispan._core.slot import SLOT
from redispan._core.slow_alerts import detect
from redispan._semconv import names
from redispan._telemetry import scope
from redispan._telemetry.alert_events import AlertEmitter
from redispan._telemetry.slow_detection import (
    EXPLICIT,
    announce_threshold,
    explicit_threshold_ns,
    is_part_of_ours,
)

_SYSTEMS = frozenset({"redis", "valkey"})


class SlowOperationSpanProcessor(SpanProcessor):
    """Raises an alert event for every Redis client span that took too long, in the span's context.

    Works with any instrumentation: redispan's, contrib's (old and new attribute names) or another's. Add it to a
    provider to give that provider a threshold of its own; redispan's instrumentor adds one by itself otherwise.
    """

    def __init__(
        self,
        threshold_ms: float = 50.0,
        *,
        logger_provider: Any = None,
        _emitter: AlertEmitter | None = None,
        _book: AlertBook | None = None,
        _automatic_for: Any = None,
    ) -> None:
        """Make a processor.

        Args:
            threshold_ms: Operations from this duration on are slow.
            logger_provider: Where alert events go; the global one by default.
            _emitter: Of the instrumentor.
            _book: Counts detections.
            _automatic_for: The provider that the instrumentor adds it to.
        """
        self.threshold_ns = int(threshold_ms * 1e6)
        self.enabled = self.threshold_ns > 0
        self._book = SLOT.runtime.alerts if _book is None else _book
        self._emitter = _emitter or AlertEmitter(scope.logger_of(logger_provider), self._book)
        self._provider = None if _automatic_for is None else weakref.ref(_automatic_for)
        if _automatic_for is None:
            setattr(self, EXPLICIT, self.threshold_ns)
            announce_threshold(self.threshold_ns)

    def configure(self, threshold_ms: float, emitter: AlertEmitter) -> None:
        """Work by new settings; the instrumentor calls it when it instruments again."""
        self.threshold_ns = int(threshold_ms * 1e6)
        self._emitter = emitter
        self.enabled = self.threshold_ns > 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do."""

    def on_end(self, span: ReadableSpan) -> None:
        """Judge the span; whatever goes wrong here must not reach the program nor the next processor."""
        try:
            if not self.enabled or span.kind is not SpanKind.CLIENT:
                return
            # Without the instrumentor nobody else comes by.
            self._book.limit.emit_due()
            duration_ns = (span.end_time or 0) - (span.start_time or 0)
            if duration_ns >= self.threshold_ns:
                self._judge(span, duration_ns)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("span_processor")

    def shutdown(self) -> None:
        """Stop judging."""
        self.enabled = False

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Tell what was held back, if its time has come."""
        SLOT.runtime.deferred_alerts.emit_due()
        return True

    def _judge(self, span: ReadableSpan, duration_ns: int) -> None:
        attributes = span.attributes or {}
        system = attributes.get(names.DB_SYSTEM_NAME, attributes.get("db.system"))
        if system not in _SYSTEMS or attributes.get(names.REDIS_CLIENT_OPERATION_SLOW):
            return  # of something else, or of ours and detected before it was written
        if self._overridden() or self._is_blocking(span):
            return
        scope_of = span.instrumentation_scope
        if (scope_of is None or scope_of.name != scope.NAME) and is_part_of_ours():
            return
        context = span.context
        if context is None or not SLOT.runtime.judged_spans.add(context.span_id):
            return
        around = trace.set_span_in_context(trace.NonRecordingSpan(context))
        detect(
            self._book,
            _record(span, attributes, duration_ns),
            self.threshold_ns,
            lambda alert: self._emitter.emit(alert, around),
        )

    def _overridden(self) -> bool:
        """Whether the program added a processor of its own to the provider that this one was added to."""
        provider = None if self._provider is None else self._provider()
        return explicit_threshold_ns(getattr(provider, "_active_span_processor", None)) is not None

    @staticmethod
    def _is_blocking(span: ReadableSpan) -> bool:
        # Whether an XREAD had BLOCK can't be told from a foreign span: a command that may block gets the benefit.
        return identify([_command_text(span)]).blocking is not None


def _command_text(span: ReadableSpan) -> str:
    attributes = span.attributes or {}
    for name in (names.DB_OPERATION_NAME, "db.operation", names.DB_QUERY_TEXT, "db.statement"):
        text = attributes.get(name)
        if isinstance(text, str) and text:
            return text
    return span.name


def _record(span: ReadableSpan, attributes: Any, duration_ns: int) -> SlowOperation:
    address = attributes.get(names.SERVER_ADDRESS, attributes.get("net.peer.name"))
    port = attributes.get(names.SERVER_PORT, attributes.get("net.peer.port"))
    db = attributes.get(names.DB_NAMESPACE, attributes.get("db.redis.database_index"))
    address = None if address is None else str(address)
    port = int(port) if isinstance(port, (int, str)) and str(port).isdigit() else None
    text = _command_text(span)
    # Looked up, never taken as it stands: a span of another may hold whole commands.
    info = identify(text.split()[:2] or [""])
    command = text if text.startswith(("PIPELINE", "MULTI")) and len(text) < 40 and "?" not in text else info.name
    error = attributes.get(names.ERROR_TYPE)
    place = "unknown" if address is None else address if port is None else f"{address}:{port}"
    context = span.context
    return SlowOperation(
        command=command,
        endpoint=place if db is None else f"{place}/{db}",
        address=address,
        port=port,
        db=None if db is None else str(db),
        duration_ms=duration_ns / 1e6,
        pool_wait_ms=_ms(attributes, names.REDIS_CLIENT_OPERATION_POOL_WAIT),
        connect_ms=_ms(attributes, names.REDIS_CLIENT_OPERATION_CONNECT_TIME),
        backoff_ms=_ms(attributes, names.REDIS_CLIENT_OPERATION_BACKOFF_TIME),
        error=None if error is None else str(error)[:100],
        at_unix_ns=span.end_time or time_ns(),
        trace_id="" if context is None else trace.format_trace_id(context.trace_id),
        span_id="" if context is None else trace.format_span_id(context.span_id),
    )


def _ms(attributes: Any, name: str) -> float:
    value = attributes.get(name, 0.0)
    return float(value) * 1000 if isinstance(value, (int, float)) else 0.0
