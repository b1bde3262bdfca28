"""The span of an operation: started before it, ended with its true duration, marked with what it met."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import time_ns
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import _RUNTIME_CONTEXT
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from redispan._core.ledger import LEDGER
from redispan._core.operation import Endpoint, Operation
from redispan._semconv import attributes as names
from redispan._semconv.errors import Failure, classify, safe_message
from redispan._telemetry.naming import Namer

_log = logging.getLogger("redispan")

Hook = Callable[..., Any]

_PREDICTIONS = 1000
"""Most endpoints whose peer is remembered. Attributes given at creation are half the price of those set later, and
samplers see them, so a span starts with the peer of its endpoint's last operation and is corrected where that is wrong.
"""


class SpanObserver:
    """Writes spans for one tracer, by one policy."""

    def __init__(
        self,
        tracer: trace.Tracer,
        namer: Namer,
        *,
        policy: str = "all",
        slow_threshold_ms: float = 0.0,
        request_hook: Hook | None = None,
        response_hook: Hook | None = None,
    ) -> None:
        """Wire the observer.

        Args:
            tracer: Where spans are started.
            namer: Names and attributes.
            policy: ``all``, ``parented`` or ``notable``.
            slow_threshold_ms: Named on slow spans.
            request_hook: Called as ``hook(span, instance, args, kwargs)`` is in contrib: see ``hooks``.
            response_hook: Called with the span, the instance and the response, on errors too.
        """
        self._start_span = tracer.start_span
        self._namer = namer
        self._policy = policy
        self._slow_threshold_ms = slow_threshold_ms
        self._request_hook = request_hook
        self._response_hook = response_hook
        self._predicted: dict[Endpoint, tuple[str, int | None]] = {}
        self._broken_hooks: set[str] = set()

    def started(self, operation: Operation) -> None:
        """Start the span, unless the policy writes it afterwards or not at all."""
        if operation.defer_span or self._policy != "all":
            if self._policy == "notable" or operation.defer_span:
                operation.scope = otel_context.get_current()  # the parent it will have had
                return
            if not trace.get_current_span().get_span_context().is_valid:
                return
        name, attributes = self._namer.of(operation)
        peer = self._predicted.get(operation.endpoint)
        if peer is not None:
            attributes = {**attributes, **_peer_attributes(peer)}
        span = self._start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        if span.is_recording():
            operation.span = span
            operation.scope = _RUNTIME_CONTEXT.attach(set_span_in_context(span))
            if self._request_hook is not None:
                payload = operation.args if operation.batch is None else operation.batch.commands
                self._call_hook("request_hook", self._request_hook, operation, payload)

    def finished(self, operation: Operation) -> None:
        """Mark and end the span."""
        span = operation.span
        if span is None:
            if operation.scope is not None:
                self._write_afterwards(operation)
            return
        try:
            self._mark(span, operation, peer_known=True)
            span.end(span.start_time + operation.duration_ns if hasattr(span, "start_time") else None)
        finally:
            operation.span = None
            _detach(operation.scope)

    def _write_afterwards(self, operation: Operation) -> None:
        parent, operation.scope = operation.scope, None
        if operation.cache_hit:
            return
        if self._policy == "notable" and not (operation.slow or operation.failed):
            return
        if self._policy == "parented" and not trace.get_current_span(parent).get_span_context().is_valid:
            return
        name, attributes = self._namer.of(operation)
        end_ns = time_ns()
        span = self._start_span(
            name,
            context=parent,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=end_ns - operation.duration_ns,
        )
        if span.is_recording():
            operation.span = span
            self._mark(span, operation, peer_known=False)
            span.end(end_ns)
            operation.span = None

    def _mark(self, span: trace.Span, operation: Operation, *, peer_known: bool) -> None:
        found: dict[str, Any] = {}
        endpoint = operation.endpoint
        peer = operation.peer
        if operation.resolved:
            name, found = self._namer.target(operation)
            if name is not None:
                span.update_name(name)
            found.update(_peer_attributes(peer) if peer is not None else {})
            peer = None
        if peer is not None and (not peer_known or self._predicted.get(endpoint) != peer):
            found.update(_peer_attributes(peer))
            if operation.error is None and len(self._predicted) < _PREDICTIONS:
                self._predicted[endpoint] = peer
        if operation.error is not None and operation.connection is None:
            self._predicted.pop(endpoint, None)
        if operation.retries:
            found[names.REDIS_CLIENT_OPERATION_RETRIES] = operation.retries
        if operation.redirects:
            found[names.REDIS_CLIENT_OPERATION_REDIRECTS] = operation.redirects
        if operation.slow:
            found[names.REDIS_CLIENT_OPERATION_SLOW] = True
            found[names.REDIS_CLIENT_OPERATION_SLOW_THRESHOLD] = self._slow_threshold_ms / 1000
            _add_phases(found, operation)
        error = operation.error or operation.healed_error
        if error is not None:
            _mark_failure(span, found, classify(error), error)
        if found:
            span.set_attributes(found)
        if self._response_hook is not None:
            payload = operation.response if operation.error is None else operation.error
            self._call_hook("response_hook", self._response_hook, operation, payload)

    def _call_hook(self, which: str, hook: Hook, operation: Operation, payload: Any) -> None:
        try:
            if which == "request_hook":
                hook(operation.span, operation.client, payload, {})
            else:
                hook(operation.span, operation.client, payload)
        except Exception as fault:
            LEDGER.telemetry_error(which)
            if which not in self._broken_hooks:
                self._broken_hooks.add(which)
                _log.error("redispan: the %s raised %s; the Redis call is not affected.", which, type(fault).__name__)


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


def _peer_attributes(peer: tuple[str, int | None]) -> dict[str, Any]:
    if peer[1] is None:
        return {names.NETWORK_PEER_ADDRESS: peer[0]}
    return {names.NETWORK_PEER_ADDRESS: peer[0], names.NETWORK_PEER_PORT: peer[1]}


def _detach(token: Any) -> None:
    try:
        _RUNTIME_CONTEXT.detach(token)
    except ValueError:
        # Ended in another context than it began in (a coroutine closed from outside): there is nothing to restore.
        pass
