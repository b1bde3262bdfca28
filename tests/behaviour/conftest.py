"""Fixtures of the behaviours: a client of some kind, and redispan active with telemetry in memory."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from behaviour.every_client import World, open_world
from redispan import RedispanInstrumentor
from redispan._core.ledger import LEDGER
from redispan.testing import TelemetryInMemory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let cluster tests pass that redis-py's own unclosed sockets would fail."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "cluster" in str(callspec.params.get("world")):
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest_asyncio.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A kind of client with its server: parametrise it with ``every_client.of_kinds``."""
    async for opened in open_world(request):
        yield opened


@pytest.fixture
def instrument(telemetry: TelemetryInMemory) -> Callable[..., TelemetryInMemory]:
    """Switch redispan on with the given arguments."""

    def switch_on(**arguments: Any) -> TelemetryInMemory:
        LEDGER.clear()
        RedispanInstrumentor().instrument(**{**telemetry.providers, **arguments})
        return telemetry

    return switch_on


@pytest.fixture
def told(instrument: Callable[..., TelemetryInMemory]) -> TelemetryInMemory:
    """Redispan is on with default settings; this is what it told."""
    return instrument()
