"""Telling alerts: the log-based event, the line for people, the callbacks; and the counter and the gauge."""

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
    """Tells alerts by every way there is; a way that fails doesn't stop the others."""

    def __init__(self, logger: Logger, book: AlertBook | None = None, *, events: bool = True) -> None:
        """Wire a teller.

        Args:
            logger: redispan's OpenTelemetry logger.
            book: Keeps what was told.
            events: Whether log-based events are emitted.
        """
        self._logger = logger
        self._book = SLOT.runtime.alerts if book is None else book
        self._events = events

    def emit(self, alert: Alert, context: Context | None = None) -> None:
        """Emit ``alert``; its event belongs to the span of ``context``, by default the current one."""
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
    """Log an operation above the log threshold and below the alert's."""
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
    """The attributes of an alert's event."""
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
    # Where nobody configured logging, the bare text lands on stderr: it has to say who speaks.
    return f"redispan: {state}{alert.message}{more}"


def _guarded(part: str, emit_by: Callable[[], None]) -> None:
    try:
        emit_by()
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error(part)


_meters: weakref.WeakSet[Meter] = weakref.WeakSet()


def create_instruments(meter: Meter) -> None:
    """Create the counter and the gauge of alerts, once per meter.

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
        # Judged first, so that an alert clears even when no operation comes along.
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
