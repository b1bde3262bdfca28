"""Emitting log-based events on every version of the logs API that redispan supports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context, get_current


def emit(
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
        name: Static event name.
        severity: OpenTelemetry severity.
        attributes: Flat attributes.
        timestamp_ns: When it happened; the SDK would leave the field empty.
        context: The context whose span the event belongs to; the current one by default.
    """
    where = get_current() if context is None else context
    enabled = getattr(logger, "enabled", None)  # since 1.45
    if enabled is not None and not enabled(context=where, severity_number=severity, event_name=name):
        return
    logger.emit(
        timestamp=timestamp_ns,
        context=where,
        event_name=name,
        severity_number=severity,
        attributes=dict(attributes),
    )
