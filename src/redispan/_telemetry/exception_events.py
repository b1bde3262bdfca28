"""The ``db.client.operation.exception`` event of failed operations: rate-limited, and with a redacted message."""

from __future__ import annotations

import threading
from time import monotonic, time_ns
from typing import Any

from opentelemetry._logs import Logger, SeverityNumber

from redispan._core.operation import Operation
from redispan._core.slot import SLOT
from redispan._semconv import names
from redispan._semconv.errors import Failure, classify, safe_message
from redispan._telemetry.events import emit_event

_TYPES_LIMIT = 200


class ExceptionEvents:
    """Emits one log event per failed operation, in the context of its span.

    OpenTelemetry is phasing out span events; its semantic conventions ask for a log event of severity WARN instead.
    """

    started = None  # nothing to do at the start
    only_remarkable = True

    def __init__(self, logger: Logger, *, per_minute: int) -> None:
        """Make the observer.

        Args:
            logger: redispan's OpenTelemetry logger.
            per_minute: The most events per error type and minute. Further events are counted as dropped.
        """
        self._logger = logger
        self._per_minute = per_minute
        self._lock = threading.RLock()
        self._seen: dict[str, tuple[int, int]] = {}

    def finished(self, operation: Operation) -> None:
        """Emit the event if the operation failed and the rate limit allows it."""
        error = operation.error or operation.healed_error
        if error is None:
            return
        failure = classify(error)
        if failure.flow_control:
            return
        if not self._allowed(failure.error_type):
            SLOT.runtime.self_metrics.dropped("exception_events")
            return
        emit_event(
            self._logger,
            names.EVENT_OPERATION_EXCEPTION,
            SeverityNumber.WARN,
            _attributes(operation, failure, error),
            time_ns(),
        )

    def _allowed(self, error_type: str) -> bool:
        minute = int(monotonic() // 60)
        with self._lock:
            of, count = self._seen.get(error_type, (minute, 0))
            if of != minute:
                count = 0
            if error_type not in self._seen and len(self._seen) >= _TYPES_LIMIT:
                self._seen.clear()
            self._seen[error_type] = (minute, count + 1)
        return count < self._per_minute


def _attributes(operation: Operation, failure: Failure, error: BaseException) -> dict[str, Any]:
    endpoint = operation.endpoint
    kind = type(error)
    found: dict[str, Any] = {
        names.DB_SYSTEM_NAME: names.REDIS,
        names.DB_OPERATION_NAME: operation.info.name,
        names.ERROR_TYPE: failure.error_type,
        names.EXCEPTION_TYPE: f"{kind.__module__}.{kind.__qualname__}",
        names.EXCEPTION_MESSAGE: safe_message(error),
    }
    if endpoint.address is not None:
        found[names.SERVER_ADDRESS] = endpoint.address
        if endpoint.port is not None:
            found[names.SERVER_PORT] = endpoint.port
    if failure.status_code is not None:
        found[names.DB_RESPONSE_STATUS_CODE] = failure.status_code
    if operation.retries:
        found[names.REDIS_CLIENT_OPERATION_RETRIES] = operation.retries
    return found
