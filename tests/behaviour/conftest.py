"""Fixtures of the behaviour tests: clients of each kind, and redispan switched on with telemetry in memory."""

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
    """Ignore the resource warnings in cluster tests that redis-py's own cluster clients cause."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "cluster" in str(callspec.params.get("world")):
            for message in ("Unclosed ClusterNode", "unclosed.*Connection", "unclosed.*socket", "unclosed transport"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}:ResourceWarning"))


@pytest.fixture(autouse=True)
def _no_cluster_of_an_earlier_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect what a cluster client left open during its own test, which ignores the resource warnings."""
    yield
    if "cluster_server" in request.fixturenames:
        forget_clusters()


@pytest_asyncio.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Yield a client of one kind with its server. Parametrise it with ``clients.of_kinds``."""
    async for opened in open_world(request):
        yield opened


@pytest.fixture
def instrument(telemetry: TelemetryInMemory) -> Callable[..., TelemetryInMemory]:
    """Return a function that switches redispan on with the given arguments.

    Slow operations are reported only where a test asks for it. On a busy machine any operation may exceed the limits,
    and would add a marked span, an event and a log line.
    """

    def switch_on(**arguments: Any) -> TelemetryInMemory:
        unless_said = {"slow_log_ms": 0, "slow_alert_ms": 0} if "settings" not in arguments else {}
        RedispanInstrumentor().instrument(**{**telemetry.providers, **unless_said, **arguments})
        return telemetry

    return switch_on


@pytest.fixture
def recorded(instrument: Callable[..., TelemetryInMemory]) -> TelemetryInMemory:
    """Switch redispan on with default settings, except that slow operations are not reported. Return the telemetry."""
    return instrument()


@pytest.fixture
def tuned(request: pytest.FixtureRequest) -> Iterator[None]:
    """Switch on the pool layer alone, with the module's ``TUNING``: settings scaled down from seconds to tenths."""
    RedispanInstrumentor().instrument(metrics=False, insight=False, **request.module.TUNING)
    yield
    RedispanInstrumentor().uninstrument()


@pytest.fixture
def no_targets_of_other_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test know only its own servers, and meet no sibling process."""
    monkeypatch.setattr(targets, "_pools", {})
    monkeypatch.setattr(targets, "_moving", {})
    monkeypatch.setenv("OTEL_PYTHON_REDISPAN_RUNTIME_DIR", str(tmp_path))
