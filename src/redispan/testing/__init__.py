"""Helpers for tests of programs that use redispan: in-memory telemetry, and a throw-away Redis server.

``from redispan.testing import TelemetryInMemory`` needs the OpenTelemetry SDK; ``EmbeddedServer`` needs only Python and
a redis-server program. Each name is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redispan.testing.embedded_server import EmbeddedServer
    from redispan.testing.telemetry import TelemetryInMemory

_HOMES = {
    "EmbeddedServer": "redispan.testing.embedded_server",
    "TelemetryInMemory": "redispan.testing.telemetry",
}

__all__ = ["EmbeddedServer", "TelemetryInMemory"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'redispan.testing' has no attribute {name!r}")
    return getattr(import_module(home), name)
