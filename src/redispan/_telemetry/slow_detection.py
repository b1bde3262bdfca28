"""The part of slow detection that deals with spans: thresholds, judged spans, and one span processor per provider.

Two detectors may see the same operation. The statistics see every operation that redispan records, sampled or not. The
span processor sees the recorded spans of every instrumentation. The detector that judges a span first remembers its id,
so that the other one skips the span.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context

from redispan._core import observing
from redispan._core.operation import Operation
from redispan._core.slot import SLOT

EXPLICIT = "redispan_explicit_threshold_ns"
"""The attribute that marks a processor that the program itself added. Its value is the threshold in nanoseconds."""


def is_part_of_ours() -> bool:
    """Return whether a span that ends now is part of a running operation of redispan.

    If it is, the statistics judge the operation when it ends.
    """
    return SLOT.runtime.judges_operations and observing.running() is not None


class SpansOfOperations:
    """Answers the questions of slow detection about the spans of redispan's operations."""

    def __init__(self, provider: Any = None) -> None:
        """Prepare for the spans of one instrumentation.

        Args:
            provider: The tracer provider of the instrumentation; None for the global one.
        """
        self._provider = provider

    def alert_ns(self, operation: Operation, own_ns: int) -> int:
        """Return the alert threshold for an operation, in nanoseconds.

        Args:
            operation: The operation.
            own_ns: The threshold of the settings.

        Returns:
            The threshold of a processor that the program itself added to the provider of the span; otherwise
            ``own_ns``.
        """
        processors = getattr(operation.span, "_span_processor", None)
        if processors is None:  # the span is unsampled, not written, or written by another instrumentation
            provider = self._provider or trace.get_tracer_provider()
            processors = getattr(provider, "_active_span_processor", None)
        explicit = explicit_threshold_ns(processors)
        return own_ns if explicit is None else explicit

    def judge(self, operation: Operation) -> tuple[str, str]:
        """Remember the operation's span as judged.

        Returns:
            The trace id and the span id of the operation as hexadecimal text. If the operation has no span, these are
            the ids of the caller's span, or empty outside any trace.
        """
        if operation.slow and operation.late_span is not None:
            operation.late_span(operation)  # so that its alert and events are emitted in the context of its own span
        own = operation.span
        context = _span_context(operation)
        if own is not None:
            SLOT.runtime.judged_spans.add(context.span_id)
        if operation.slow:
            # The parent span may be that of another instrumentation for the same operation. If it is not, remembering
            # its id has no effect.
            around = context if own is None else getattr(own, "parent", None)
            if around is not None:
                SLOT.runtime.judged_spans.add(around.span_id)
        if not context.is_valid:
            return "", ""
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def place(self, operation: Operation) -> Context:
        """Return a context that contains the ids of the operation's span, and no objects of the program."""
        return trace.set_span_in_context(trace.NonRecordingSpan(_span_context(operation)), Context())


def _span_context(operation: Operation) -> trace.SpanContext:
    return (trace.get_current_span() if operation.span is None else operation.span).get_span_context()


def explicit_threshold_ns(active_processor: Any) -> int | None:
    """Return the lowest threshold in nanoseconds of the processors that the program itself added; None without any.

    The SDK has no public API for the processors of a provider. If its private attribute is missing, no threshold is
    overridden. The ids of judged spans still prevent a second detection of the same operation.

    Args:
        active_processor: The ``_active_span_processor`` of the provider, which contains all of its processors.
    """
    processors = getattr(active_processor, "_span_processors", None)
    if not isinstance(processors, tuple):
        return None
    found = [getattr(processor, EXPLICIT, None) for processor in processors]
    thresholds = [threshold for threshold in found if isinstance(threshold, int)]
    return min(thresholds) if thresholds else None


_floors: weakref.WeakSet[Any] = weakref.WeakSet()
_lowest_explicit_ns: list[int] = []


def follow_floor(follower: Any) -> None:
    """Call ``follower.lower_floor(threshold_ns)`` for the threshold of each processor that the program makes.

    That is done now for the lowest threshold so far, and later for each new one.
    """
    _floors.add(follower)
    follower.lower_floor(*_lowest_explicit_ns)


def announce_threshold(threshold_ns: int) -> None:
    """Notify all followers that the program made a processor with this threshold, in nanoseconds."""
    if not _lowest_explicit_ns or threshold_ns < _lowest_explicit_ns[0]:
        _lowest_explicit_ns[:] = [threshold_ns]
    for follower in list(_floors):
        follower.lower_floor(threshold_ns)


_attached: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
_attach_lock = threading.RLock()


def attach(provider: Any, make: Callable[[Any], Any]) -> Any | None:
    """Add redispan's processor to ``provider``, unless it has been added already.

    Args:
        provider: The tracer provider; None for the global one.
        make: Makes the processor for a provider.

    Returns:
        The processor; None if the provider takes no processors, as the placeholder of the API does not.
    """
    if provider is None:
        provider = trace.get_tracer_provider()
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        return None
    with _attach_lock:
        try:
            processor = _attached.get(provider)
            if processor is None:
                processor = make(provider)
                add(processor)
                # A provider cannot remove a processor, so the next instrumentation enables this one again.
                _attached[provider] = processor
            return processor
        except Exception:  # the provider is not of the SDK: spans of other instrumentations are not judged
            SLOT.runtime.self_metrics.telemetry_error("span_processor")
            return None
