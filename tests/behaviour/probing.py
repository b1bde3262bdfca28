"""Probing by hand: what a probe in this process reads from the servers that it knows."""

from collections.abc import Callable

from redispan._client.probe import targets
from redispan._client.probe.visit import Visits
from redispan._core.records import ServerReading
from redispan._telemetry.scope import without_instrumentation
from redispan.testing import TelemetryInMemory

Instrument = Callable[..., TelemetryInMemory]


def visited(visits: Visits | None = None) -> ServerReading:
    """Read the only known server."""
    (place,) = targets.all_places()
    found = (visits or Visits()).visit(place)
    assert found is not None
    return found


def all_visited() -> list[ServerReading]:
    """Read every known server."""
    visits = Visits()
    with without_instrumentation():
        return [found for place in targets.all_places() if (found := visits.visit(place)) is not None]
