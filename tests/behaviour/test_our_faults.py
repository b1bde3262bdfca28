"""Faults in redispan, hooks, processors and exporters: none of them reaches the program."""

import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from clients import World, outcome_of, settle, with_clusters
from redispan import RedispanInstrumentor
from redispan._core import observing
from redispan._core.observing import current
from redispan._core.slot import SLOT
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def _as_in_production(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(observing, "strict", False)


async def work(world: World) -> None:
    """Make every kind of call, and check the results."""
    client = world.client()
    assert await settle(client.set("k", "v")) is True
    pipeline = world.pipeline(client)
    pipeline.get("k")
    pipeline.get("k")
    assert await settle(pipeline.execute()) == ["v", "v"]
    assert await settle(client.register_script("return ARGV[1]")(keys=["k"], args=["a"])) == "a"
    _, error = await outcome_of(lambda: client.lpush("k", "x"))
    assert "WRONGTYPE" in str(error)
    assert current.get() is None
    assert not trace.get_current_span().get_span_context().is_valid


FAULTS = (
    "redispan._telemetry.spans.SpanObserver.started",
    "redispan._telemetry.spans.SpanObserver._mark",
    "redispan._telemetry.operation_duration.DurationObserver.finished",
    "redispan._telemetry.exception_events.ExceptionEvents.finished",
    "redispan._telemetry.span_naming.Namer.of",
    "redispan._core.self_metrics.SelfMetrics.operations",
    "redispan._client.recording.recorder.identify",
    "redispan._client.recording.recorder.peer",
    "redispan._client.recording.recorder.Operation",
    "redispan._client.recording.recorder.batches.common_info",
    "redispan._client.recording.recorder._account_for_attempts",
    "redispan._client.internals.clients.queued_commands",
    "redispan._client.internals.clients.place_of_connection",
    "redispan._client.internals.clients.peer_of",
    "redispan._client.recording.client_shells._count_message",
)


@with_clusters
@pytest.mark.parametrize("place", FAULTS)
async def test_fault_in_any_part_reaches_nobody(
    world: World, telemetry: TelemetryInMemory, monkeypatch: pytest.MonkeyPatch, place: str
):
    """Whichever part of redispan raises, every call works, and nothing stays open or current."""

    def broken(*_, **__):
        raise RuntimeError("ours")

    monkeypatch.setattr(place, broken)
    RedispanInstrumentor().instrument(**telemetry.providers)
    await work(world)
    await work(world)


@with_clusters
async def test_fault_is_logged_once_without_its_message(
    world: World, telemetry: TelemetryInMemory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A part that fails is switched off with one log line that names it, without its message. The other parts go on."""

    def broken(self, operation):
        raise RuntimeError("s3cret argument")

    monkeypatch.setattr("redispan._telemetry.operation_duration.DurationObserver.finished", broken)
    RedispanInstrumentor().instrument(**telemetry.providers)
    with caplog.at_level(logging.DEBUG, "redispan"):
        await work(world)
    lines = [record.getMessage() for record in caplog.records if "DurationObserver" in record.getMessage()]
    assert len(lines) == 1
    assert "s3cret" not in caplog.text
    assert len(telemetry.spans()) == 4
    assert SLOT.runtime.self_metrics.read("telemetry_errors")["observer"] >= 1


class Raising(SpanProcessor):
    """A processor of the program that raises."""

    def __init__(self, at: str):
        setattr(self, at, self._fail)

    def _fail(self, *_, **__):
        raise RuntimeError("processor")


@with_clusters
@pytest.mark.parametrize("at", ["on_start", "on_end"])
async def test_failing_processor_reaches_nobody(world: World, telemetry: TelemetryInMemory, at: str):
    """A span processor that raises does not break a call."""
    telemetry.tracer_provider.add_span_processor(Raising(at))
    RedispanInstrumentor().instrument(**telemetry.providers)
    await work(world)


@with_clusters
async def test_failing_exporter_reaches_nobody(world: World, telemetry: TelemetryInMemory):
    """An exporter that raises does not break a call."""

    class Broken(SpanExporter):
        def export(self, spans):
            raise RuntimeError("exporter")

    telemetry.tracer_provider.add_span_processor(SimpleSpanProcessor(Broken()))
    RedispanInstrumentor().instrument(**telemetry.providers)
    await work(world)


@with_clusters
async def test_failing_hook_is_logged_once(
    world: World, telemetry: TelemetryInMemory, caplog: pytest.LogCaptureFixture
):
    """Hooks that raise break nothing, and each is logged once."""

    def hook(*_):
        raise RuntimeError("hook")

    RedispanInstrumentor().instrument(**telemetry.providers, request_hook=hook, response_hook=hook)
    await work(world)
    lines = [record.getMessage() for record in caplog.records if "_hook raised" in record.getMessage()]
    assert len(lines) == 2
    assert len(telemetry.spans()) == 4


def test_switched_off_observer_still_finishes_what_it_started(telemetry: TelemetryInMemory):
    """A span observer that fails in one thread must not leave another thread's span open and current."""
    from redispan._client.recording.recorder import Recorder
    from redispan._core.observing import Observers

    finished = []

    class Span:
        def started(self, operation):
            if operation.args[0] == "GET":
                raise RuntimeError("once")

        def finished(self, operation):
            finished.append(operation.args[0])

    observers = Observers([Span()])
    recorder = Recorder(observers)
    from redispan._client.recording import endpoints

    where = endpoints.intern("h", 1, "0")
    first = recorder.begin(lambda _: where, object(), ("SET", "k", "v"))
    token, first.token = first.token, None
    current.reset(token)
    first.token = current.set(first)
    outer = current.set(None)
    second = recorder.begin(lambda _: where, object(), ("GET", "k"))
    recorder.end(second, None, None)
    current.reset(outer)
    recorder.end(first, None, None)
    assert "SET" in finished
    assert current.get() is None
