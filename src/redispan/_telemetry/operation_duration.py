"""``db.client.operation.duration``: the histogram that gets one measurement per operation or batch."""

from __future__ import annotations

from typing import Any, Protocol

from opentelemetry.metrics import Meter

from redispan._core.commands import CommandInfo
from redispan._core.operation import Endpoint, Operation
from redispan._semconv import names
from redispan._semconv.errors import Failure, classify
from redispan._telemetry.histogram_internals import AttributeSet, PreparedHistogram

_CACHE_LIMIT = 5000

_EXEMPLAR_EVERY_NS = 20_000_000
"""The shortest time between two ordinary operations for which an exemplar is offered: 20 ms.

For every failed, slow or repeated operation, an exemplar is offered too. More would be of no use: the SDK keeps one per
bucket and export, and a measurement that offers an exemplar cannot go directly into the aggregation.
"""


class Elsewhere(Protocol):
    """Knows whether redis-py emits the metric itself, as it can since 7.4.

    Attributes:
        duration: Whether redis-py emits the metric at this moment.
    """

    duration: bool


class _Nobody:
    duration = False


class DurationObserver:
    """Records the duration of operations, including failed ones.

    The attributes of each combination of endpoint, command and outcome are prepared once. While the duration is
    recorded, the span is current, so that an exemplar links to it.
    """

    started = None  # nothing to do at the start

    def __init__(self, meter: Meter, *, fine_buckets: bool = False, elsewhere: Elsewhere | None = None) -> None:
        """Create the instrument.

        Args:
            meter: redispan's meter.
            fine_buckets: Whether the bucket bounds start at 0.1 ms instead of being those of the semantic conventions.
            elsewhere: Knows whether redis-py emits the same metric; None if it cannot.
        """
        self._elsewhere = elsewhere or _Nobody()
        histogram = PreparedHistogram(
            meter.create_histogram(
                names.METRIC_OPERATION_DURATION,
                unit="s",
                description="Duration of database client operations.",
                explicit_bucket_boundaries_advisory=list(
                    names.FINE_BUCKETS_S if fine_buckets else names.DURATION_BUCKETS_S
                ),
            )
        )
        self._record = histogram.record
        self._record_with_exemplar = histogram.record_publicly
        self._next_exemplar_ns = 0
        self._failures: dict[tuple[Endpoint, CommandInfo, Failure], AttributeSet] = {}

    def finished(self, operation: Operation) -> None:
        """Record the duration in seconds, unless redis-py emits the metric or the client-side cache answered."""
        if self._elsewhere.duration:
            return
        series = operation.series
        known = series.metric
        if known is None:
            known = series.metric = _prepare(series.endpoint, series.info, None)
        wants_exemplar = False
        if operation.remarkable:
            if operation.cache_hit:
                return
            wants_exemplar = operation.slow or operation.retries > 0
            failure = _failure_of(operation)
            if failure is not None:
                known = self._of_failure(series.endpoint, series.info, failure)
                wants_exemplar = True
        if not wants_exemplar and operation.start_ns < self._next_exemplar_ns:
            self._record(operation.duration_ns / 1e9, known)
            return
        self._next_exemplar_ns = operation.start_ns + _EXEMPLAR_EVERY_NS
        self._record_with_exemplar(operation.duration_ns / 1e9, known.attributes)

    def _of_failure(self, endpoint: Endpoint, info: CommandInfo, failure: Failure) -> AttributeSet:
        key = (endpoint, info, failure)
        found = self._failures.get(key)
        if found is None:
            if len(self._failures) >= _CACHE_LIMIT:
                self._failures.clear()
            found = self._failures[key] = _prepare(*key)
        return found


def _prepare(endpoint: Endpoint, info: CommandInfo, failure: Failure | None) -> AttributeSet:
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
    return AttributeSet(found)


def _failure_of(operation: Operation) -> Failure | None:
    error = operation.error or operation.healed_error
    failure = classify(error) if error is not None else None
    return None if failure is None or failure.flow_control else failure
