"""Fixtures of the behaviours: a client of some kind, and redispan active with telemetry in memory."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from clients import World, forget_clusters, open_world
from redispan import RedispanInstrumentor
from redispan._client.probe import targets
from redispan.testing import TelemetryInMemory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let cluster tests pass that what redis-py's own cluster clients leave open would fail."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "cluster" in str(callspec.params.get("world")):
            for message in ("Unclosed ClusterNode", "unclosed.*Connection", "unclosed.*socket", "unclosed transport"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}:ResourceWarning"))


@pytest.fixture(autouse=True)
def _no_cluster_of_an_earlier_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a cluster client left open goes in the time of its own test, which is told to bear it."""
    yield
    if "cluster_server" in request.fixturenames:
        forget_clusters()


@pytest_asyncio.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A kind of client with its server: parametrise it with ``clients.of_kinds``."""
    async for opened in open_world(request):
        yield opened


@pytest.fixture
def instrument(telemetry: TelemetryInMemory) -> Callable[..., TelemetryInMemory]:
    """Switch redispan on with the given arguments; what is slow is told only where a test asks for it.

    On a busy machine any operation may take longer than the limits, and be a marked span, an event and a log line more.
    """

    def switch_on(**arguments: Any) -> TelemetryInMemory:
        unless_said = {"slow_log_ms": 0, "slow_alert_ms": 0} if "settings" not in arguments else {}
        RedispanInstrumentor().instrument(**{**telemetry.providers, **unless_said, **arguments})
        return telemetry

    return switch_on


@pytest.fixture
def recorded(instrument: Callable[..., TelemetryInMemory]) -> TelemetryInMemory:
    """Redispan is on with default settings, but for what is slow; this is what it told."""
    return instrument()


@pytest.fixture
def tuned(request: pytest.FixtureRequest) -> Iterator[None]:
    """The pool layer alone is on, with the module's ``TUNING``: settings scaled down from seconds to tenths."""
    RedispanInstrumentor().instrument(metrics=False, insight=False, **request.module.TUNING)
    yield
    RedispanInstrumentor().uninstrument()


@pytest.fixture
def no_targets_of_other_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test knows its own servers only, and meets nobody."""
    monkeypatch.setattr(targets, "_pools", {})
    monkeypatch.setattr(targets, "_moving", {})
    monkeypatch.setenv("OTEL_PYTHON_REDISPAN_RUNTIME_DIR", str(tmp_path))
