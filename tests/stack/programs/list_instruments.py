"""Prints every instrument that redispan creates, as JSON; a process of its own, because it instruments."""

from __future__ import annotations

import json
from typing import Any

from opentelemetry.metrics import MeterProvider, NoOpMeter

import redispan

KINDS = {
    "create_counter": "counter", "create_observable_counter": "counter", "create_histogram": "histogram",
    "create_gauge": "gauge", "create_observable_gauge": "gauge", "create_up_down_counter": "gauge",
    "create_observable_up_down_counter": "gauge",
}  # fmt: skip
found: list[tuple[str, str, str]] = []


class NotingMeter(NoOpMeter):
    """Notes what is created and creates what does nothing."""


def _noting(method: str) -> Any:
    def create(self: NotingMeter, name: str, *args: Any, **more: Any) -> Any:
        found.append((KINDS[method], name, more.get("unit", "")))
        return getattr(NoOpMeter, method)(self, name, *args, **more)

    return create


for method in KINDS:
    setattr(NotingMeter, method, _noting(method))


class NotingProvider(MeterProvider):
    """Gives everybody a noting meter."""

    def get_meter(self, name: str, *_: Any, **__: Any) -> NotingMeter:
        """A new meter."""
        return NotingMeter(name)


settings = redispan.Settings(pool_time_histograms=True)
redispan.RedispanInstrumentor().instrument(meter_provider=NotingProvider(), settings=settings)
print(json.dumps(found))
