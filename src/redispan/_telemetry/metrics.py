"""The one synchronous instrument: ``db.client.operation.duration``, one measurement per operation or batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.metrics import Meter

from redispan._core.commands import CommandInfo
from redispan._core.operation import Endpoint, Operation
from redispan._semconv import attributes as names
from redispan._semconv.errors import Failure, classify

_CACHE_LIMIT = 5000


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
        self._attributes: dict[tuple[Endpoint, CommandInfo, Failure | None], dict[str, Any]] = {}

    def finished(self, operation: Operation) -> None:
        """Record the duration."""
        if self._elsewhere is not None and self._elsewhere():
            return
        failure = None
        if operation.remarkable:
            if operation.cache_hit:
                return
            failure = _failure_of(operation)
        key = (operation.endpoint, operation.info, failure)
        self._record(operation.duration_ns / 1e9, self._attributes.get(key) or self._prepare(*key))

    def _prepare(self, endpoint: Endpoint, info: CommandInfo, failure: Failure | None) -> dict[str, Any]:
        if len(self._attributes) >= _CACHE_LIMIT:
            self._attributes.clear()
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
        self._attributes[endpoint, info, failure] = found
        return found


def _failure_of(operation: Operation) -> Failure | None:
    error = operation.error or operation.healed_error
    failure = classify(error) if error is not None else None
    return None if failure is None or failure.flow_control else failure
