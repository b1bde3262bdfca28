"""Lines for people in Python's own logging, kept away from handlers that would export them a second time."""

from __future__ import annotations

import logging


def say(logger: logging.Logger, level: int, message: str) -> None:
    """Log a line whose event was emitted already: every handler gets it but those of OpenTelemetry.

    Such a handler would export it as a second record of the same thing, without the ids of its span.
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
