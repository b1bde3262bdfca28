"""redispan: OpenTelemetry instrumentation, tuned pools and insight for redis-py.

This module names the public API. Each name is imported at its first use, and importing ``redispan`` imports nothing
else. So ``opentelemetry-instrument`` can start a program even if its environment is broken.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redispan import asyncio, celery, monitoring, pools, reports, testing, typing  # noqa: F401 - for type checkers
    from redispan._core.records import Alert
    from redispan._runtime.monitor import monitor, on_alert
    from redispan._telemetry.slow_span_processor import SlowOperationSpanProcessor
    from redispan.instrumentor import RedispanInstrumentor
    from redispan.pools import pools_in_effect, tuned_pool
    from redispan.reports import cache_patterns_report, connection_pool_report, health_report, performance_report
    from redispan.settings import Settings
    from redispan.version import __version__

_HOMES = {
    "Alert": "redispan._core.records",
    "RedispanInstrumentor": "redispan.instrumentor",
    "Settings": "redispan.settings",
    "SlowOperationSpanProcessor": "redispan._telemetry.slow_span_processor",
    "__version__": "redispan.version",
    "cache_patterns_report": "redispan.reports",
    "connection_pool_report": "redispan.reports",
    "health_report": "redispan.reports",
    "monitor": "redispan._runtime.monitor",
    "on_alert": "redispan._runtime.monitor",
    "performance_report": "redispan.reports",
    "pools_in_effect": "redispan.pools",
    "tuned_pool": "redispan.pools",
}

__all__ = [
    "Alert",
    "RedispanInstrumentor",
    "Settings",
    "SlowOperationSpanProcessor",
    "__version__",
    "cache_patterns_report",
    "connection_pool_report",
    "health_report",
    "monitor",
    "on_alert",
    "performance_report",
    "pools_in_effect",
    "tuned_pool",
]

_SUBMODULES = frozenset({"asyncio", "celery", "monitoring", "pools", "reports", "testing", "typing"})
"""The public modules that a program can use without importing them, as in ``redispan.celery.tune(app)``."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        if name in _SUBMODULES:
            return import_module(f"redispan.{name}")
        raise AttributeError(f"module 'redispan' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
