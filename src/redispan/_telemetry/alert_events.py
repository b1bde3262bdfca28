"""Emitting alerts as log-based events and log lines, notifying the callbacks, and the two instruments of alerts."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from redispan._core.alert_book import AlertBook
from redispan._core.records import SLOW_OPERATION, Alert, SlowOperation
from redispan._core.slot import SLOT
from redispan._semconv import names
from redispan._telemetry.events import emit_event, log_line

_slow_log = logging.getLogger("redispan.slow")
_alert_log = logging.getLogger("redispan.alerts")

ALERT_NAME = "redis.client.alert.name"
ALERT_STATE = "redis.client.alert.state"
ALERT_SUBJECT = "redis.client.alert.subject"
ALERT_VALUE = "redis.client.alert.value"
ALERT_THRESHOLD = "redis.client.alert.threshold"
ALERT_HELD_BACK = "redis.client.alert.held_back"

_SEVERITIES = {
    "info": (SeverityNumber.INFO, logging.INFO),
    "warning": (SeverityNumber.WARN, logging.WARNING),
    "error": (SeverityNumber.ERROR, logging.ERROR),
}


class AlertEmitter:
    """Emits an alert as an event and as a log line, and notifies the callbacks. If one fails, the others still run."""

    def __init__(self, logger: Logger, book: AlertBook | None = None, *, events: bool = True) -> None:
        """Make an emitter.

        Args:
            logger: redispan's OpenTelemetry logger.
            book: The alerts of the process, which keep the emitted alerts; those of ``SLOT.runtime`` by default.
            events: Whether log-based events are emitted.
        """
        self._logger = logger
        self._book = SLOT.runtime.alerts if book is None else book
        self._events = events

    def emit(self, alert: Alert, context: Context | None = None) -> None:
        """Add ``alert`` to the alert history, and emit it.

        Args:
            alert: The alert.
            context: The context whose span the event belongs to; the current one by default.
        """
        self._book.record(alert)
        severity, level = _SEVERITIES[alert.severity]
        if self._events:
            _guarded(
                "alert_event",
                lambda: emit_event(
                    self._logger,
                    names.EVENT_ALERT_PREFIX + alert.name,
                    severity,
                    attributes_of(alert),
                    alert.at_unix_ns,
                    context,
                ),
            )
        log = _slow_log if alert.name == SLOW_OPERATION else _alert_log
        _guarded("alert_log", lambda: log_line(log, level, _line(alert)))
        self._book.notify_callbacks(alert)


def log_slow(record: SlowOperation, held_back: int) -> None:
    """Log an operation that is above the log threshold and below the alert threshold.

    Args:
        record: The operation.
        held_back: How many operations of the same kind were not logged since the last line.
    """
    more = f"; {held_back} like it since the last line" if held_back else ""
    _slow_log.warning(
        "redispan: %s on %s took %.1f ms (%s; %d retries)%s",
        record.command,
        record.endpoint,
        record.duration_ms,
        record.where(),
        record.retries,
        more,
    )


def attributes_of(alert: Alert) -> dict[str, Any]:
    """Return the attributes of the event of an alert."""
    found: dict[str, Any] = {
        names.DB_SYSTEM_NAME: names.REDIS,
        ALERT_NAME: alert.name,
        ALERT_STATE: alert.state,
        ALERT_SUBJECT: alert.endpoint,
        ALERT_VALUE: alert.value,
        ALERT_THRESHOLD: alert.threshold,
        ALERT_HELD_BACK: alert.held_back,
        **alert.evidence,
    }
    known = {
        names.DB_OPERATION_NAME: alert.command,
        names.DB_NAMESPACE: alert.db,
        names.SERVER_ADDRESS: alert.address,
        names.SERVER_PORT: alert.port,
    }
    found.update({name: value for name, value in known.items() if value is not None})
    if alert.name == SLOW_OPERATION:
        found[names.REDIS_CLIENT_OPERATION_SLOW_THRESHOLD] = alert.threshold
    return found


def _line(alert: Alert) -> str:
    more = f"; {alert.held_back} like it since the last line" if alert.held_back else ""
    state = "" if alert.name == SLOW_OPERATION else f"alert {alert.name} {alert.state}: "
    # Without a logging configuration the bare text goes to stderr, so it has to name redispan.
    return f"redispan: {state}{alert.message}{more}"


def _guarded(part: str, emit_by: Callable[[], None]) -> None:
    try:
        emit_by()
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error(part)


_meters: weakref.WeakSet[Meter] = weakref.WeakSet()


def create_instruments(meter: Meter) -> None:
    """Create the counter and the gauge of alerts; do nothing if the meter has them already.

    Args:
        meter: redispan's meter.
    """
    if meter in _meters:
        return
    _meters.add(meter)

    def counts(_: CallbackOptions) -> Iterable[Observation]:
        for label, count in SLOT.runtime.alerts.counts().items():
            yield Observation(count, _label_attributes(label))

    def states(_: CallbackOptions) -> Iterable[Observation]:
        # The rules are evaluated first, so that an alert clears even if no operation runs any more.
        _guarded("alert_refresh", SLOT.runtime.evaluate)
        for label, state in SLOT.runtime.alerts.states().items():
            yield Observation(state, _label_attributes(label))

    meter.create_observable_counter(
        "redis.client.alerts",
        callbacks=[counts],
        unit="{alert}",
        description="Alerts by name: every slow operation, and every time that an alert fired.",
    )
    meter.create_observable_gauge(
        ALERT_STATE, callbacks=[states], unit="1", description="1 while the alert fires, 0 once it cleared."
    )


def _label_attributes(label: tuple[str, str | None, int | None]) -> dict[str, Any]:
    name, address, port = label
    found: dict[str, Any] = {ALERT_NAME: name}
    if address is not None:
        found[names.SERVER_ADDRESS] = address
        if port is not None:
            found[names.SERVER_PORT] = port
    return found
