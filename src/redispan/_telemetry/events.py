"""Emitting log-based events with every supported version of the OpenTelemetry logs API, and logging their lines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context, get_current


def emit_event(
    logger: Logger,
    name: str,
    severity: SeverityNumber,
    attributes: Mapping[str, Any],
    timestamp_ns: int,
    context: Context | None = None,
) -> None:
    """Emit the event ``name``.

    Args:
        logger: redispan's OpenTelemetry logger.
        name: The event name, which must be static.
        severity: The OpenTelemetry severity.
        attributes: The attributes, whose values are not nested.
        timestamp_ns: The time of the event, in nanoseconds since the Unix epoch. Without it, the SDK would leave the
            field empty.
        context: The context whose span the event belongs to; the current one by default.
    """
    where = get_current() if context is None else context
    enabled = getattr(logger, "enabled", None)  # the API has it since 1.45
    if enabled is not None and not enabled(context=where, severity_number=severity, event_name=name):
        return
    logger.emit(
        timestamp=timestamp_ns,
        context=where,
        event_name=name,
        severity_number=severity,
        attributes=dict(attributes),
    )


def log_line(logger: logging.Logger, level: int, message: str) -> None:
    """Log a line whose event was emitted already, with every handler except those of OpenTelemetry.

    A handler of OpenTelemetry would export the line as a second record of the same event, without the ids of its span.
    """
    if not logger.isEnabledFor(level):
        return
    foreign = _handlers(logger)
    if not any(_exports(handler) for handler in foreign):
        logger.log(level, "%s", message)
        return
    record = logger.makeRecord(logger.name, level, __file__, 0, "%s", (message,), None)
    if not logger.filter(record):
        return
    for handler in foreign:
        if level >= handler.level and not _exports(handler):
            handler.handle(record)


def _handlers(logger: logging.Logger) -> list[logging.Handler]:
    found: list[logging.Handler] = []
    at: logging.Logger | None = logger
    while at is not None:
        found.extend(at.handlers)
        at = at.parent if at.propagate else None
    return found


def _exports(handler: logging.Handler) -> bool:
    return type(handler).__module__.partition(".")[0] == "opentelemetry"
