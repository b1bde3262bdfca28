"""What each setting of the instrumentation changes, as seen from outside."""

import contextlib
from time import perf_counter_ns

import pytest
import redis
from opentelemetry.trace import StatusCode

from clients import World, every_kind, outcome_of, settle, sync_and_async, with_clusters
from redispan import RedispanInstrumentor, Settings
from redispan._runtime.runtime import current
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis


@with_clusters
async def test_parented_writes_spans_only_inside_a_trace(world: World, instrument):
    """With ``spans=parented`` there are no root spans. Child spans stay, and every operation is measured."""
    recorded = instrument(spans="parented")
    client = world.client()
    await settle(client.set("k", "v"))
    assert recorded.spans() == []
    with recorded.tracer_provider.get_tracer("caller").start_as_current_span("caller") as parent:
        await settle(client.get("k"))
    span = next(span for span in recorded.spans() if span.name.startswith("GET"))
    assert span.parent.span_id == parent.get_span_context().span_id
    assert recorded.value("db.client.operation.duration") == 2


@with_clusters
async def test_notable_writes_only_failed_and_slow_ones(world: World, instrument):
    """With ``spans=notable`` a quick success has no span. A failure has one, with its true times and its parent."""
    recorded = instrument(spans="notable", slow_alert_ms=30_000)
    client = world.client()
    with recorded.tracer_provider.get_tracer("caller").start_as_current_span("caller") as parent:
        await settle(client.set("k", "v"))
        await outcome_of(lambda: client.lpush("k", "x"))
    spans = [span for span in recorded.spans() if span.name != "caller"]
    assert [span.attributes["db.operation.name"] for span in spans] == ["LPUSH"]
    assert spans[0].status.status_code is StatusCode.ERROR
    assert spans[0].parent.span_id == parent.get_span_context().span_id
    assert spans[0].name == "LPUSH" + world.target("k")
    assert spans[0].end_time > spans[0].start_time
    assert recorded.value("db.client.operation.duration") == 2


@sync_and_async
async def test_excluded_and_included_commands(world: World, instrument):
    """Excluded commands have no telemetry, alone or as a whole pipeline. redispan counts them as dropped."""
    recorded = instrument(exclude_commands=("GET", "ping"))
    client = world.client()
    await settle(client.ping())
    await settle(client.get("k"))
    for names in (("GET", "GET"), ("GET", "SET")):
        pipeline = world.pipeline(client)
        for name in names:
            pipeline.execute_command(name, "k", *(["v"] if name == "SET" else []))
        await settle(pipeline.execute())
    assert [span.attributes["db.operation.name"] for span in recorded.spans()] == ["PIPELINE"]
    assert recorded.value("db.client.operation.duration") == 1
    assert recorded.value("redis.client.telemetry.dropped") >= 4
    RedispanInstrumentor().uninstrument()
    recorded.clear()
    recorded = instrument(include_commands=("SET",))
    await settle(client.get("k"))
    await settle(client.set("k", "v"))
    assert [span.attributes["db.operation.name"] for span in recorded.spans()] == ["SET"]


def test_settings_given_whole_are_read_like_others(
    redis_server, instrument, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """In a `Settings` object too, case does not matter and unusable values are logged. It overrides the environment."""
    monkeypatch.setenv("OTEL_PYTHON_REDISPAN_SPANS", "notable")
    given = Settings(exclude_commands=("get", "Config Get"), spans="some", slow_log_ms="often")  # type: ignore[arg-type]
    recorded = instrument(settings=given, query_text="off")
    with contextlib.closing(redis.Redis.from_url(redis_server.url)) as client:
        client.get("k")
        client.config_get("maxmemory")
        client.set("k", "v")
    assert recorded.span().attributes["db.operation.name"] == "SET"
    assert "db.query.text" not in recorded.span().attributes
    warned = [record.getMessage() for record in caplog.records if "unusable" in record.getMessage()]
    assert len(warned) == 2
    assert "'spans': unusable value 'some'" in warned[1]
    assert "Using 'all'" in warned[1]
    assert "'slow_log_ms'" in warned[0]


@with_clusters
@pytest.mark.parametrize(("mode", "text"), [("hidden", "SET ? ?"), ("keys", "SET user:1 ?"), ("off", None)])
async def test_query_text_modes(world: World, instrument, mode: str, text: str | None):
    """The query text hides all arguments, shows keys, or is absent."""
    recorded = instrument(query_text=mode)
    await settle(world.client().set("user:1", "s3cret"))
    assert recorded.span().attributes.get("db.query.text") == text


@sync_and_async
async def test_script_keys_are_shown_in_keys_mode(world: World, instrument):
    """A script object shows its keys and hides its arguments, as the command does."""
    recorded = instrument(query_text="keys")
    script = world.client().register_script("return 1")
    await settle(script(keys=["user:1"], args=["s3cret"]))
    text = recorded.span().attributes["db.query.text"]
    assert "user:1" in text
    assert "s3cret" not in text


@every_kind
async def test_both_generations_of_names(world: World, instrument, monkeypatch: pytest.MonkeyPatch):
    """``OTEL_SEMCONV_STABILITY_OPT_IN=database/dup`` adds the old names to the stable ones, on the first span too."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "database/dup")
    recorded = instrument()
    client = world.client()
    for _ in range(2):
        await settle(client.get("k"))
    assert len(recorded.spans()) == 2
    for span in recorded.spans():
        new = span.attributes
        assert new["db.system"] == new["db.system.name"] == "redis"
        assert new["db.statement"] == new["db.query.text"]
        assert new["db.operation"] == new["db.operation.name"]
        assert new["net.peer.name"] == new["server.address"]
        assert new.get("net.peer.port") == new.get("server.port")
        on_a_port = "server.port" in new
        assert new.get("net.peer.ip") == (new["network.peer.address"] if on_a_port else None)
        assert new["net.transport"] == ("ip_tcp" if on_a_port else "other")


@sync_and_async
async def test_exception_events_are_limited_and_the_rest_counted(world: World, instrument):
    """redispan emits no more exception events per minute than allowed, and counts those that it holds back."""
    recorded = instrument(exception_events_per_minute=3)
    client = world.client()
    await settle(client.set("k", "v"))
    for _ in range(10):
        await outcome_of(lambda: client.lpush("k", "x"))
    assert 3 <= len(recorded.events("db.client.operation.exception")) <= 6  # a minute may end during the test
    dropped = recorded.value("redis.client.telemetry.dropped", {"redis.client.telemetry.kind": "exception_events"})
    assert len(recorded.events("db.client.operation.exception")) + dropped == 10


@sync_and_async
async def test_metrics_and_events_can_be_turned_off(world: World, instrument):
    """Without metrics and events there are only spans."""
    recorded = instrument(metrics=False, exception_events=False, insight=False)
    client = world.client()
    await settle(client.set("k", "v"))
    await outcome_of(lambda: client.lpush("k", "x"))
    assert recorded.metrics() == {}
    assert recorded.logs() == []
    assert len(recorded.spans()) == 2


@sync_and_async
@pytest.mark.parametrize("insight", [False, True])
async def test_without_insight_nothing_is_judged(
    world: World, instrument, insight: bool, monkeypatch: pytest.MonkeyPatch
):
    """Failures from the time with insight on raise no alert once it is off, whoever evaluates the alerts.

    If it is on, they do.
    """
    instrument()
    # Nothing evaluates the alerts while insight is on.
    monkeypatch.setattr(current().alerting, "evaluated_ns", perf_counter_ns() + 20_000_000_000)
    client = world.client()
    await settle(client.set("k", "v"))
    for _ in range(50):
        await outcome_of(lambda: client.lpush("k", "x"))
    RedispanInstrumentor().uninstrument()
    recorded = instrument(insight=insight)
    current().evaluate(perf_counter_ns() + 22_000_000_000)
    assert bool(recorded.events("redis.client.alert.error_rate")) is insight


@pytest.mark.skipif(not hasattr(redis, "observability") and redis.__version__ < "7.2", reason="no native metrics")
def test_exemplars_link_to_the_span(redis_server, recorded: TelemetryInMemory):
    """The histogram's exemplar carries the span that it belongs to."""
    client = redis.Redis.from_url(redis_server.url)
    client.set("k", "v")
    with pytest.raises(redis.ResponseError):
        client.lpush("k", 1)
    span = recorded.spans()[-1]
    exemplars = [
        exemplar
        for point in recorded.metric("db.client.operation.duration")
        for exemplar in point.exemplars
        if exemplar.span_id == span.context.span_id
    ]
    assert len(exemplars) == 1
    client.close()
