"""Work of redispan itself, which must show in nobody's telemetry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY, _SUPPRESS_INSTRUMENTATION_KEY


@contextmanager
def without_instrumentation() -> Iterator[None]:
    """Instrumentations leave alone what is done inside."""
    quiet = context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True)
    token = context.attach(context.set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, quiet))
    try:
        yield
    finally:
        context.detach(token)
