"""redispan: OpenTelemetry instrumentation, tuned pools and insight for redis-py.

Everything public is named here and imported on first use: importing ``redispan`` itself imports nothing else, so that
``opentelemetry-instrument`` can start any program, however its environment is broken.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redispan.instrumentor import RedispanInstrumentor
    from redispan.settings import Settings
    from redispan.version import __version__

_HOMES = {
    "RedispanInstrumentor": "redispan.instrumentor",
    "Settings": "redispan.settings",
    "__version__": "redispan.version",
}

__all__ = ["RedispanInstrumentor", "Settings", "__version__"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'redispan' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
