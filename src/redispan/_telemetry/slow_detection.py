"""The span side of slow detection: whose threshold holds, which spans were judged, and one processor per provider.

Two detectors may see the same operation: insight, which sees all of ours whether sampled or not, and the span
processor, which sees everyone's recorded spans. Whoever judges a span first remembers its id here.
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
"""Attribute by which a processor that the program added itself is known, and its threshold."""


def is_part_of_ours() -> bool:
    """Whether a span that ends now is of a call in the middle of one of our operations, which insight will judge."""
    return SLOT.runtime.judges_operations and observing.running() is not None


class SpansOfOperations:
    """What insight asks about the span of one of our operations."""

    def __init__(self, provider: Any = None) -> None:
        """Look after the spans of one instrumentation.

        Args:
            provider: Its tracer provider; None for the global one.
        """
        self._provider = provider

    def alert_ns(self, operation: Operation, own_ns: int) -> int:
        """The threshold of a processor that the program added itself, on this span's provider; else ours."""
        processors = getattr(operation.span, "_span_processor", None)
        if processors is None:  # unsampled, not written, or another instrumentation's
            provider = self._provider or trace.get_tracer_provider()
            processors = getattr(provider, "_active_span_processor", None)
        explicit = explicit_threshold_ns(processors)
        return own_ns if explicit is None else explicit

    def judge(self, operation: Operation) -> tuple[str, str]:
        """Remember the operation's span as judged.

        Returns:
            Trace and span id of the operation as hexadecimal text; of the caller's span, where it has none; empty
            outside any trace.
        """
        if operation.slow and operation.late_span is not None:
            operation.late_span(operation)  # so that what is told of it is told in its own context
        own = operation.span
        context = _span_context(operation)
        if own is not None:
            SLOT.runtime.judged_spans.add(context.span_id)
        if operation.slow:
            # The span around ours may be another instrumentation's, of the same operation; if not, nobody looks it up.
            around = context if own is None else getattr(own, "parent", None)
            if around is not None:
                SLOT.runtime.judged_spans.add(around.span_id)
        if not context.is_valid:
            return "", ""
        return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)

    def place(self, operation: Operation) -> Context:
        """A context that holds the ids of the operation's span, and nothing of the program's."""
        return trace.set_span_in_context(trace.NonRecordingSpan(_span_context(operation)), Context())


def _span_context(operation: Operation) -> trace.SpanContext:
    return (trace.get_current_span() if operation.span is None else operation.span).get_span_context()


def explicit_threshold_ns(active_processor: Any) -> int | None:
    """The threshold of a processor that the program added itself to the provider behind ``active_processor``.

    The SDK doesn't say publicly which processors a provider has. Where its private attribute is missing nothing is
    overridden, and the ids of judged spans still keep every detection single.
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
    """Call ``follower.lower_floor(threshold_ns)`` for every threshold of a processor that the program adds."""
    _floors.add(follower)
    follower.lower_floor(*_lowest_explicit_ns)


def announce_threshold(threshold_ns: int) -> None:
    """A processor with a threshold of its own was made: spans from there on must be looked at."""
    if not _lowest_explicit_ns or threshold_ns < _lowest_explicit_ns[0]:
        _lowest_explicit_ns[:] = [threshold_ns]
    for follower in list(_floors):
        follower.lower_floor(threshold_ns)


_attached: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
_attach_lock = threading.RLock()


def attach(provider: Any, make: Callable[[Any], Any]) -> Any | None:
    """Put one processor of ours on ``provider``, if that takes any; None while it is only the API's placeholder.

    Args:
        provider: The tracer provider; None for the global one.
        make: Makes the processor for a provider.
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
                # A provider has no way to take a processor off again: the same one is woken up next time.
                _attached[provider] = processor
            return processor
        except Exception:  # a provider of another maker, or no SDK: spans of others are not watched
            SLOT.runtime.self_metrics.telemetry_error("span_processor")
            return None
