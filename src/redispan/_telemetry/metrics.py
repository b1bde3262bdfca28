"""The one synchronous instrument: ``db.client.operation.duration``, one measurement per operation or batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Meter

from redispan._core.commands import CommandInfo
from redispan._core.operation import Endpoint, Operation
from redispan._semconv import attributes as names
from redispan._semconv.errors import Failure, classify

_CACHE_LIMIT = 5000

_EXEMPLAR_EVERY_NS = 20_000_000
"""An exemplar is offered for every failed, slow or otherwise remarkable operation, and for one in 20 ms of the rest:
the SDK keeps one per bucket and export, and offering costs a tenth of the whole measurement."""

_WITHOUT_EXEMPLAR = Context({"redispan-without-exemplar": True})
"""A context that holds no span. It must not be empty: an empty one counts as none given."""


class DurationObserver:
    """Records how long operations took, failures included.

    The attributes of a (endpoint, command, outcome) are prepared once. The measurement is taken while the span is
    current, which links an exemplar to it.
    """

    started = None  # nothing to do at the start

    def __init__(
        self, meter: Meter, *, fine_buckets: bool = False, elsewhere: Callable[[], bool] | None = None
    ) -> None:
        """Create the instrument.

        Args:
            meter: redispan's meter.
            fine_buckets: Bounds from 0.1 ms instead of the conventions' list.
            elsewhere: True while another emits the same metric, as redis-py itself can; None if nobody can.
        """
        self._elsewhere = elsewhere
        self._record = meter.create_histogram(
            names.METRIC_OPERATION_DURATION,
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=list(
                names.FINE_BUCKETS_S if fine_buckets else names.DURATION_BUCKETS_S
            ),
        ).record
        self._next_exemplar_ns = 0
        self._failures: dict[tuple[Endpoint, CommandInfo, Failure], dict[str, Any]] = {}

    def finished(self, operation: Operation) -> None:
        """Record the duration."""
        if self._elsewhere is not None and self._elsewhere():
            return
        failure = None
        if operation.remarkable:
            if operation.cache_hit:
                return
            failure = _failure_of(operation)
        if failure is None:
            series = operation.series
            attributes = series.metric
            if attributes is None:
                attributes = series.metric = _prepare(operation.endpoint, operation.info, None)
        else:
            attributes = self._of_failure(operation.endpoint, operation.info, failure)
        if operation.remarkable or operation.start_ns >= self._next_exemplar_ns:
            self._next_exemplar_ns = operation.start_ns + _EXEMPLAR_EVERY_NS
            self._record(operation.duration_ns / 1e9, attributes)
        else:
            self._record(operation.duration_ns / 1e9, attributes, _WITHOUT_EXEMPLAR)

    def _of_failure(self, endpoint: Endpoint, info: CommandInfo, failure: Failure) -> dict[str, Any]:
        key = (endpoint, info, failure)
        found = self._failures.get(key)
        if found is None:
            if len(self._failures) >= _CACHE_LIMIT:
                self._failures.clear()
            found = self._failures[key] = _prepare(*key)
        return found


def _prepare(endpoint: Endpoint, info: CommandInfo, failure: Failure | None) -> dict[str, Any]:
    found: dict[str, Any] = {names.DB_SYSTEM_NAME: names.REDIS, names.DB_OPERATION_NAME: info.name}
    if endpoint.db is not None:
        found[names.DB_NAMESPACE] = endpoint.db
    if endpoint.address is not None:
        found[names.SERVER_ADDRESS] = endpoint.address
        if endpoint.port is not None:
            found[names.SERVER_PORT] = endpoint.port
    if failure is not None:
        found[names.ERROR_TYPE] = failure.error_type
        if failure.status_code is not None:
            found[names.DB_RESPONSE_STATUS_CODE] = failure.status_code
    return found


def _failure_of(operation: Operation) -> Failure | None:
    error = operation.error or operation.healed_error
    failure = classify(error) if error is not None else None
    return None if failure is None or failure.flow_control else failure
