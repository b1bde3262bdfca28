"""The span processor detects slow Redis spans of any instrumentation, once each.

A processor that the program adds itself wins.
"""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from redispan import RedispanInstrumentor, Settings, SlowOperationSpanProcessor
from redispan._core.slot import SLOT
from redispan._telemetry import slow_detection
from redispan.testing import TelemetryInMemory

SLOW = "redis.client.alert.slow_operation"
MS = 1_000_000
SLEEP_S = "0.03"
EXCEEDED_MS, NEVER_MS = 20.0, 60_000.0
DIFFERENT_THRESHOLDS = [(EXCEEDED_MS, NEVER_MS, 1), (NEVER_MS, EXCEEDED_MS, 0)]
"""The threshold of the program's processor, ours, and how many detections ``SLEEP_S`` makes."""


@pytest.fixture(autouse=True)
def _every_alert_is_emitted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(slow_detection, "_lowest_explicit_ns", [])
    SLOT.runtime.alerts.limit.interval_s = 0.0


def write(provider: TracerProvider, ms: float, name: str = "GET", kind: SpanKind = SpanKind.CLIENT, **attributes: Any):
    """End a span of another instrumentation that took ``ms``."""
    dotted = {key.replace("__", "."): value for key, value in attributes.items()}
    span = provider.get_tracer("another").start_span(name, kind=kind, attributes=dotted, start_time=10**18)
    span.end(10**18 + int(ms * MS))
    return span.get_span_context()


def processor(telemetry: TelemetryInMemory, ms: float = 50.0) -> SlowOperationSpanProcessor:
    """Return a processor that the program adds itself."""
    made = SlowOperationSpanProcessor(ms, logger_provider=telemetry.logger_provider)
    telemetry.tracer_provider.add_span_processor(made)
    return made


@pytest.mark.parametrize(
    "attributes",
    [
        {"db__system": "redis", "db__statement": "GET ?", "net__peer__name": "h", "net__peer__port": 6379},
        {"db__system__name": "redis", "db__query__text": "GET ?", "server__address": "h", "server__port": 6379},
        {"db__system__name": "valkey", "db__operation__name": "GET", "server__address": "h", "server__port": 6379},
    ],
)
def test_old_and_new_names_of_others_are_understood(telemetry: TelemetryInMemory, attributes: dict[str, Any]) -> None:
    """A slow span of any instrumentation emits one event in its context, with the command and the server."""
    processor(telemetry)
    context = write(telemetry.tracer_provider, 60, **attributes)
    write(telemetry.tracer_provider, 49, **attributes)
    (event,) = telemetry.events(SLOW)
    assert (event.trace_id, event.span_id) == (context.trace_id, context.span_id)
    assert event.attributes["db.operation.name"] == "GET"
    assert (event.attributes["server.address"], event.attributes["server.port"]) == ("h", 6379)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        (SpanKind.CLIENT, {"db__system": "postgresql"}),
        (SpanKind.CLIENT, {}),
        (SpanKind.INTERNAL, {"db__system": "redis"}),
        (SpanKind.CLIENT, {"db__system": "redis", "db__statement": "BLPOP ? ?"}),
        (SpanKind.CLIENT, {"db__system__name": "redis", "db__operation__name": "XREADGROUP"}),
    ],
)
def test_other_spans_are_left_alone(telemetry: TelemetryInMemory, kind: SpanKind, attributes: dict[str, Any]) -> None:
    """Spans of other databases, other kinds of spans and commands that block by design are no slow operations."""
    processor(telemetry)
    write(telemetry.tracer_provider, 500, kind=kind, **attributes)
    assert not telemetry.events(SLOW)


def test_a_statement_with_data_gives_none_of_it_away(telemetry: TelemetryInMemory) -> None:
    """Another instrumentation may put whole commands on its spans. redispan's event has only the command's name."""
    processor(telemetry)
    write(telemetry.tracer_provider, 60, "SET user:1 hunter2", db__system="redis", db__statement="SET user:1 hunter2")
    write(telemetry.tracer_provider, 60, "hunter2", db__system="redis", db__statement="hunter2 x")
    events = telemetry.events(SLOW)
    assert [event.attributes["db.operation.name"] for event in events] == ["SET", "_OTHER"]
    assert "hunter2" not in str([dict(event.attributes) for event in events])


def test_two_processors_make_one_detection(telemetry: TelemetryInMemory) -> None:
    """A processor that is added twice by mistake, with different thresholds, still gives one event and one count."""
    processor(telemetry, 50)
    processor(telemetry, 20)
    write(telemetry.tracer_provider, 60, db__system="redis", db__statement="GET ?")
    assert len(telemetry.events(SLOW)) == 1
    assert SLOT.runtime.alerts.snapshot()["counts"] == {"slow_operation": 1}


def test_a_fault_of_ours_does_not_reach_the_program(
    telemetry: TelemetryInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in redispan's processor does not reach the program's call, and later processors still run."""
    made = processor(telemetry)
    monkeypatch.setattr(made, "_judge", lambda *_: 1 / 0)
    write(telemetry.tracer_provider, 60, db__system="redis")
    assert len(telemetry.spans()) == 1


@pytest.mark.redis
class TestWithInstrumentation:
    @pytest.fixture
    def client(self, new_redis_server: Any) -> Iterator[redis.Redis]:
        server = new_redis_server(enable_debug_command="yes")
        with redis.Redis.from_url(server.url) as client:
            client.ping()
            yield client

    def test_spans_of_contrib_are_watched(self, telemetry: TelemetryInMemory, client: redis.Redis) -> None:
        """Without redispan's instrumentor, a slow span of contrib's still emits an event in its own context."""
        RedisInstrumentor().instrument(tracer_provider=telemetry.tracer_provider)
        processor(telemetry)
        try:
            client.execute_command("DEBUG", "SLEEP", "0.06")
        finally:
            RedisInstrumentor().uninstrument()
        (event,) = telemetry.events(SLOW)
        (span,) = telemetry.spans()
        assert event.span_id == span.context.span_id

    @pytest.mark.parametrize("first", ["contrib", "redispan"])
    @pytest.mark.parametrize(
        ("own_ms", "alert_ms", "expected"), [(None, EXCEEDED_MS, 1), (None, NEVER_MS, 0), *DIFFERENT_THRESHOLDS]
    )
    def test_contrib_kept_beside_ours_makes_one_detection(
        self,
        telemetry: TelemetryInMemory,
        client: redis.Redis,
        first: str,
        own_ms: float | None,
        alert_ms: float,
        expected: int,
    ) -> None:
        """With contrib's instrumentation beside redispan, its span and redispan's operation are one slow operation.

        It makes no difference which wrapper is the outer one.
        """
        if own_ms is not None:
            processor(telemetry, own_ms)
        settings = Settings(slow_interval_s=0.0, slow_alert_ms=alert_ms, contrib="keep")
        steps = [
            lambda: RedisInstrumentor().instrument(tracer_provider=telemetry.tracer_provider),
            lambda: RedispanInstrumentor().instrument(**telemetry.providers, settings=settings),
        ]
        try:
            for step in steps if first == "contrib" else reversed(steps):
                step()
            client.execute_command("DEBUG", "SLEEP", SLEEP_S)
        finally:
            RedispanInstrumentor().uninstrument()
            RedisInstrumentor().uninstrument()
        assert len(telemetry.spans()) == 1, "contrib's"
        assert SLOT.runtime.alerts.snapshot()["counts"].get("slow_operation", 0) == expected
        assert len(telemetry.events(SLOW)) == expected

    def test_the_instrumentor_attaches_one(self, telemetry: TelemetryInMemory) -> None:
        """Instrumenting watches other instrumentations' spans too, once per provider, however often it is repeated."""
        for _ in range(3):
            RedispanInstrumentor().instrument(**telemetry.providers, settings=Settings(slow_interval_s=0.0))
            RedispanInstrumentor().uninstrument()
        write(telemetry.tracer_provider, 60, db__system="redis")
        assert not telemetry.events(SLOW)
        RedispanInstrumentor().instrument(**telemetry.providers, settings=Settings(slow_interval_s=0.0))
        write(telemetry.tracer_provider, 60, db__system="redis")
        assert len(telemetry.events(SLOW)) == 1

    @pytest.mark.parametrize("first", ["processor", "instrumentor"])
    @pytest.mark.parametrize(("threshold_ms", "alert_ms", "expected"), DIFFERENT_THRESHOLDS)
    def test_the_programs_processor_wins(
        self,
        telemetry: TelemetryInMemory,
        client: redis.Redis,
        first: str,
        threshold_ms: float,
        alert_ms: float,
        expected: int,
    ) -> None:
        """The threshold of a processor that the program added wins, lower or higher, added before or after redispan."""
        settings = Settings(slow_interval_s=0.0, slow_alert_ms=alert_ms)
        if first == "processor":
            processor(telemetry, threshold_ms)
        RedispanInstrumentor().instrument(**telemetry.providers, settings=settings)
        if first == "instrumentor":
            processor(telemetry, threshold_ms)
        client.execute_command("DEBUG", "SLEEP", SLEEP_S)
        assert len(telemetry.events(SLOW)) == expected
        assert SLOT.runtime.alerts.snapshot()["counts"].get("slow_operation", 0) == expected
        (span,) = telemetry.spans()
        assert span.attributes.get("redis.client.operation.slow") is (True if expected else None)
        named = threshold_ms / 1000 if expected else None
        assert span.attributes.get("redis.client.operation.slow.threshold") == named

    @pytest.mark.parametrize(("threshold_ms", "alert_ms", "expected"), DIFFERENT_THRESHOLDS)
    def test_its_threshold_holds_for_what_is_not_sampled(
        self, client: redis.Redis, threshold_ms: float, alert_ms: float, expected: int
    ) -> None:
        """The program's threshold also applies to operations whose spans are not recorded."""
        telemetry = TelemetryInMemory(sampler=ALWAYS_OFF)
        processor(telemetry, threshold_ms)
        RedispanInstrumentor().instrument(
            **telemetry.providers, settings=Settings(slow_interval_s=0.0, slow_alert_ms=alert_ms)
        )
        client.execute_command("DEBUG", "SLEEP", SLEEP_S)
        assert SLOT.runtime.alerts.snapshot()["counts"].get("slow_operation", 0) == expected
        telemetry.close()

    def test_an_sdk_that_comes_later_is_watched_too(self, redis_url: str, tmp_path: Any) -> None:
        """A provider that the program sets after instrumenting is watched too.

        Spans of other instrumentations count from its first recorded span on.
        """
        program = tmp_path / "late.py"
        program.write_text(_LATE_SDK)
        done = subprocess.run(
            [sys.executable, str(program), redis_url], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.split() == ["0", "1"], done.stderr


_LATE_SDK = """
import sys
import redis
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from redispan import RedispanInstrumentor
from redispan._core.slot import SLOT

def foreign():
    redis_span = {"kind": SpanKind.CLIENT, "attributes": {"db.system": "redis"}}
    span = trace.get_tracer("x").start_span("GET", start_time=1, **redis_span)
    span.end(10**9)
    print(SLOT.runtime.alerts.snapshot()["counts"].get("slow_operation", 0))

RedispanInstrumentor().instrument(slow_alert_ms=900)
trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
foreign()
for _ in range(3):
    redis.Redis.from_url(sys.argv[1]).get("k")
foreign()
"""
