"""redispan's instrumentation scope: its tracer, meter and logger, and the suppression of instrumentation."""

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
    """Return redispan's tracer from ``provider``, or from the global provider if that is None."""
    return trace.get_tracer(NAME, __version__, tracer_provider=provider, schema_url=SCHEMA_URL)


def meter_of(provider: Any) -> Meter:
    """Return redispan's meter from ``provider``, or from the global provider if that is None."""
    return metrics.get_meter(NAME, __version__, meter_provider=provider, schema_url=SCHEMA_URL)


def logger_of(provider: Any) -> Logger:
    """Return redispan's OpenTelemetry logger from ``provider``, or from the global provider if that is None."""
    return _logs.get_logger(NAME, __version__, logger_provider=provider, schema_url=SCHEMA_URL)


# The default runtime context keeps its context in one ContextVar. Reading that directly saves a function call in every
# operation.
_variable = getattr(_RUNTIME_CONTEXT, "_current_context", None)
_current_context: Callable[[], Any] = (
    _variable.get if isinstance(_variable, ContextVar) else _RUNTIME_CONTEXT.get_current
)


def is_enabled() -> bool:
    """Return False inside ``suppress_instrumentation()``.

    The helper of opentelemetry-instrumentation looks up two keys, at twice the cost; the second is the old name of the
    first.
    """
    return not _current_context().get(_SUPPRESS_INSTRUMENTATION_KEY)


@contextmanager
def without_instrumentation() -> Iterator[None]:
    """Suppress all instrumentations, including those of HTTP clients, inside the ``with`` block."""
    quiet = context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True)
    token = context.attach(context.set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, quiet))
    try:
        yield
    finally:
        context.detach(token)
