"""The instrumentation scope: tracer, meter and logger of redispan, and whether instrumentation is suppressed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from opentelemetry import _logs, context, metrics, trace
from opentelemetry._logs import Logger
from opentelemetry.context import _RUNTIME_CONTEXT, _SUPPRESS_HTTP_INSTRUMENTATION_KEY, _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

from redispan._semconv.names import SCHEMA_URL
from redispan.version import __version__

NAME = "redispan"


def tracer_of(provider: Any) -> Tracer:
    """redispan's tracer, from ``provider`` or the global one."""
    return trace.get_tracer(NAME, __version__, tracer_provider=provider, schema_url=SCHEMA_URL)


def meter_of(provider: Any) -> Meter:
    """redispan's meter, from ``provider`` or the global one."""
    return metrics.get_meter(NAME, __version__, meter_provider=provider, schema_url=SCHEMA_URL)


def logger_of(provider: Any) -> Logger:
    """redispan's OpenTelemetry logger, from ``provider`` or the global one."""
    return _logs.get_logger(NAME, __version__, logger_provider=provider, schema_url=SCHEMA_URL)


# The runtime context that every program has keeps its context in one variable: asking that saves a call in every call.
_variable = getattr(_RUNTIME_CONTEXT, "_current_context", None)
_current_context: Callable[[], Any] = (
    _variable.get if isinstance(_variable, ContextVar) else _RUNTIME_CONTEXT.get_current
)


def is_enabled() -> bool:
    """False inside ``suppress_instrumentation()``.

    The helper of opentelemetry-instrumentation asks for two keys at twice the cost; the second is its old name.
    """
    return not _current_context().get(_SUPPRESS_INSTRUMENTATION_KEY)


@contextmanager
def without_instrumentation() -> Iterator[None]:
    """Instrumentations leave alone what is done inside."""
    quiet = context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True)
    token = context.attach(context.set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, quiet))
    try:
        yield
    finally:
        context.detach(token)
