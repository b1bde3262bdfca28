"""``SlowOperationSpanProcessor``: detects slow Redis operations in the spans of any instrumentation.

This is the only module that imports the OpenTelemetry SDK, and it is imported only when it is needed.
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
    """Emits an alert for every Redis client span that took too long, in the context of that span.

    It works with any instrumentation: redispan's, contrib's (with old and new attribute names) or another one. Add it
    to a provider to set a threshold for that provider. Otherwise redispan's instrumentor adds one with the threshold of
    its settings.
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
            threshold_ms: The duration in milliseconds from which an operation is slow; 0 for none.
            logger_provider: The logger provider for alert events; the global one by default.
            _emitter: The emitter of the instrumentor.
            _book: The alerts of the process, which count the detections.
            _automatic_for: The provider that the instrumentor adds this processor to.
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
        """Use new settings, and enable the processor again. The instrumentor calls this when it instruments.

        Args:
            threshold_ms: The duration in milliseconds from which an operation is slow; 0 for none.
            emitter: Emits the alerts.
        """
        self.threshold_ns = int(threshold_ms * 1e6)
        self._emitter = emitter
        self.enabled = self.threshold_ns > 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing; spans are judged when they end."""

    def on_end(self, span: ReadableSpan) -> None:
        """Judge the span. No exception of this method reaches the program or the next processor."""
        try:
            if not self.enabled or span.kind is not SpanKind.CLIENT:
                return
            # Without the instrumentor, nothing else emits deferred alerts while spans end.
            self._book.limit.emit_due()
            duration_ns = (span.end_time or 0) - (span.start_time or 0)
            if duration_ns >= self.threshold_ns:
                self._judge(span, duration_ns)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("span_processor")

    def shutdown(self) -> None:
        """Stop judging spans."""
        self.enabled = False

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Emit the deferred alerts whose interval is over. Always returns True."""
        SLOT.runtime.deferred_alerts.emit_due()
        return True

    def _judge(self, span: ReadableSpan, duration_ns: int) -> None:
        attributes = span.attributes or {}
        system = attributes.get(names.DB_SYSTEM_NAME, attributes.get("db.system"))
        if system not in _SYSTEMS or attributes.get(names.REDIS_CLIENT_OPERATION_SLOW):
            return  # the span is not of Redis, or it is redispan's and was detected as slow already
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
        """Return whether the program itself added a processor to the provider that got this one automatically."""
        provider = None if self._provider is None else self._provider()
        return explicit_threshold_ns(getattr(provider, "_active_span_processor", None)) is not None

    @staticmethod
    def _is_blocking(span: ReadableSpan) -> bool:
        # The span of another instrumentation does not show whether an XREAD had BLOCK. So a command that may block is
        # never judged.
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
    # The name is looked up in the command table: the span of another instrumentation may contain a whole command.
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
