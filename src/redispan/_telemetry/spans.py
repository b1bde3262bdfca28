"""The observers that write the span of an operation.

A span starts before the operation and ends with its true duration. At the end it gets the attributes and the status
that are known only then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter_ns, time_ns
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import _RUNTIME_CONTEXT
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from redispan._core.operation import Operation
from redispan._core.slot import SLOT
from redispan._semconv import names
from redispan._semconv.errors import Failure, classify, safe_message
from redispan._telemetry.span_naming import Namer

_log = logging.getLogger("redispan")

Hook = Callable[..., Any]


class SpanObserver:
    """Writes the spans of operations with one tracer, according to one policy (setting ``spans``)."""

    def __init__(
        self,
        tracer: trace.Tracer,
        namer: Namer,
        *,
        policy: str = "all",
        late_provider: bool = False,
        request_hook: Hook | None = None,
        response_hook: Hook | None = None,
    ) -> None:
        """Make the observer.

        Args:
            tracer: The tracer that starts the spans.
            namer: Makes the names and the attributes.
            policy: Which operations get a span: ``all``, ``parented`` or ``notable``.
            late_provider: Whether the tracer comes from the global provider, which may be set later or never.
            request_hook: Called as ``hook(span, instance, args, kwargs)``, as in contrib.
            response_hook: Called as ``hook(span, instance, response)``; the response of a failed call is the exception.
        """
        self._start_span = tracer.start_span
        self._namer = namer
        self._policy = policy
        self._request_hook = request_hook
        self._response_hook = response_hook
        self._always = policy == "all"
        self._waits_for_provider = late_provider
        self._broken_hooks: set[str] = set()
        self._late_span = self.start_late

    # Deliberately one long function: it runs in every call, and calling a function per step costs more than the step.
    def started(self, operation: Operation) -> None:  # noqa: C901
        """Start the span, unless the policy asks for it at the end of the operation or not at all."""
        if self._waits_for_provider:
            if getattr(trace, "_TRACER_PROVIDER", trace) is None:
                return  # no tracer provider is set, so no span would be exported
            self._waits_for_provider = False
        if operation.defer_span or not self._always:
            if self._policy == "notable" or operation.defer_span:
                operation.scope = otel_context.get_current()  # the context with the parent of the later span
                operation.late_span = self._late_span
                return
            if not trace.get_current_span().get_span_context().is_valid:
                return
        prepared = operation.series.span
        if prepared is not None and prepared.generation == self._namer.generation:
            count = len(operation.args)  # 0 for a batch
            attributes = prepared.usual if count == prepared.usual_count else prepared.others.get(count)
            name = prepared.name
        else:
            attributes = None
        if attributes is None:
            name, attributes = self._namer.of(operation)
        start_ns = time_ns()
        if operation.start_ns:  # the observers were notified only when the server was known
            start_ns -= perf_counter_ns() - operation.start_ns
        span = self._start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=start_ns)
        if span.is_recording():
            operation.span = span
            operation.span_start_ns = start_ns
            operation.scope = _RUNTIME_CONTEXT.attach(set_span_in_context(span))
            if self._request_hook is not None:
                self._call_hook("request_hook", self._request_hook, operation, _request_of(operation))

    def finished(self, operation: Operation) -> None:
        """Set the attributes and the status that the end gives, call the response hook, and end the span."""
        if operation.late_span is not None:
            self.start_late(operation)
        span = operation.span
        if span is None:
            return
        try:
            if (
                operation.remarkable
                or operation.resolved
                or operation.peer != self._namer.expected_peer(operation.endpoint)
            ):
                self._mark(span, operation)
            if self._response_hook is not None:
                payload = operation.response if operation.error is None else operation.error
                self._call_hook("response_hook", self._response_hook, operation, payload)
            span.end(operation.span_start_ns + operation.duration_ns)
        finally:
            operation.span = None
            _detach(operation.scope)

    def start_late(self, operation: Operation) -> None:
        """Start the span of an operation that has ended, if the policy asks for one.

        The span gets the true start time of the operation, and becomes the current span.
        """
        parent, operation.scope, operation.late_span = operation.scope, None, None
        if operation.cache_hit:
            return
        if self._policy == "notable" and not (operation.slow or _failed(operation)):
            return
        if self._policy == "parented" and not trace.get_current_span(parent).get_span_context().is_valid:
            return
        name, attributes = self._namer.of(operation)
        start_ns = time_ns() - operation.duration_ns
        span = self._start_span(name, context=parent, kind=SpanKind.CLIENT, attributes=attributes, start_time=start_ns)
        if span.is_recording():
            operation.span = span
            operation.span_start_ns = start_ns
            operation.scope = _RUNTIME_CONTEXT.attach(set_span_in_context(span))
            if self._request_hook is not None:
                self._call_hook("request_hook", self._request_hook, operation, _request_of(operation))

    def _mark(self, span: trace.Span, operation: Operation) -> None:
        found = self._correct_target(span, operation)
        if operation.retries:
            found[names.REDIS_CLIENT_OPERATION_RETRIES] = operation.retries
        if operation.redirects:
            found[names.REDIS_CLIENT_OPERATION_REDIRECTS] = operation.redirects
        if operation.slow:
            found[names.REDIS_CLIENT_OPERATION_SLOW] = True
            found[names.REDIS_CLIENT_OPERATION_SLOW_THRESHOLD] = operation.slow_threshold_ns / 1e9
            _add_phases(found, operation)
        error = operation.error or operation.healed_error
        if error is not None:
            _mark_failure(span, found, classify(error), error)
        if found:
            span.set_attributes(found)

    def _correct_target(self, span: trace.Span, operation: Operation) -> dict[str, Any]:
        """Return the attributes of the real server and peer, if they differ from those that the span started with."""
        endpoint, peer = operation.endpoint, operation.peer
        if operation.resolved:
            name, found = self._namer.target(operation)
            if name is not None:
                span.update_name(name)
            return {**found, **self._namer.peer_attributes(peer)} if peer is not None else found
        if peer == self._namer.expected_peer(endpoint):
            return {}
        self._namer.expect_peer(endpoint, peer)
        if peer is None:
            _forget_peer(span)
            return {}
        return self._namer.peer_attributes(peer)

    def _call_hook(self, which: str, hook: Hook, operation: Operation, payload: Any) -> None:
        try:
            if which == "request_hook":
                hook(operation.span, operation.client, payload, {})
            else:
                hook(operation.span, operation.client, payload)
        except Exception as fault:
            SLOT.runtime.self_metrics.telemetry_error(which)
            if which not in self._broken_hooks:
                self._broken_hooks.add(which)
                _log.error("redispan: the %s raised %s; the Redis call is not affected.", which, type(fault).__name__)


def _forget_peer(span: trace.Span) -> None:
    # The OpenTelemetry API cannot remove an attribute, so this uses a private attribute of the SDK's spans. It happens
    # once per outage, so it may cost something. A span of another implementation keeps the peer of the previous call.
    attributes: Any = getattr(span, "_attributes", {})
    for name in (names.NETWORK_PEER_ADDRESS, names.NETWORK_PEER_PORT, names.OLD_PEER_ADDRESS):
        try:
            del attributes[name]
        except Exception:  # noqa: S112 - the attribute is missing, or the span cannot be changed
            continue


class LateSpans:
    """Starts the spans that had to wait for the end of the operation.

    It runs after the statistics, which decide whether the operation is slow. It runs before the observers whose events
    and exemplars belong to the span.
    """

    started = None  # nothing to do at the start
    only_remarkable = True

    def finished(self, operation: Operation) -> None:
        """Start the span of the operation, if it waits for the end."""
        if operation.late_span is not None:
            operation.late_span(operation)


def _request_of(operation: Operation) -> Any:
    return operation.args if operation.batch is None else operation.batch.commands


def _failed(operation: Operation) -> bool:
    error = operation.error or operation.healed_error
    return error is not None and not classify(error).flow_control


def _mark_failure(span: trace.Span, found: dict[str, Any], failure: Failure, error: BaseException) -> None:
    if failure.flow_control:
        return
    found[names.ERROR_TYPE] = failure.error_type
    if failure.status_code is not None:
        found[names.DB_RESPONSE_STATUS_CODE] = failure.status_code
    span.set_status(Status(StatusCode.ERROR, safe_message(error)))


def _add_phases(found: dict[str, Any], operation: Operation) -> None:
    for key, value_ns in (
        (names.REDIS_CLIENT_OPERATION_POOL_WAIT, operation.pool_wait_ns),
        (names.REDIS_CLIENT_OPERATION_CONNECT_TIME, operation.connect_ns),
        (names.REDIS_CLIENT_OPERATION_BACKOFF_TIME, operation.backoff_ns),
    ):
        if value_ns:
            found[key] = value_ns / 1e9


def _detach(token: Any) -> None:
    try:
        _RUNTIME_CONTEXT.detach(token)
    except ValueError:
        # The operation ended in another context than it began in, as when a coroutine is closed from outside. There is
        # nothing to restore.
        pass
