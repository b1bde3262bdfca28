"""One command, one span: name, kind, attributes, parent, status, on every kind of client."""

import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from clients import (
    World,
    drain,
    every_kind,
    outcome_of,
    settle,
    sync_and_async,
    take_connection,
    with_clusters,
)
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis


@every_kind
async def test_command_is_one_client_span_with_stable_names(world: World, recorded: TelemetryInMemory):
    """A command gives exactly one span, named and attributed as the conventions require, on every kind of client."""
    client = world.client()
    assert await settle(client.set("user:42", "v")) is True
    recorded.clear()
    assert await settle(client.get("user:42")) == "v"
    span = recorded.span()
    address, port = world.address_of("user:42")
    expected = {
        "db.system.name": "redis",
        "db.operation.name": "GET",
        "db.namespace": "0",
        "db.query.text": "GET ?",
        "server.address": address,
        "network.peer.address": address if port is None else "127.0.0.1",
    }
    if port is not None:
        expected |= {"server.port": port, "network.peer.port": port}
    assert dict(span.attributes) == expected
    assert span.name == "GET" + world.target("user:42")
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert span.status.description is None
    assert span.events == ()
    assert span.parent is None
    assert span.end_time > span.start_time
    assert span.instrumentation_scope.name == "redispan"
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.44.0"


@every_kind
async def test_first_command_has_the_server_too(world: World, recorded: TelemetryInMemory):
    """The span that opens the first connection already has the server and the peer, and no handshake has a span."""
    client = world.client()
    await settle(client.get("user:42"))
    span = recorded.span()
    address, port = world.address_of("user:42")
    assert span.name == "GET" + world.target("user:42")
    assert span.attributes["server.address"] == address
    assert span.attributes["network.peer.address"] == (address if port is None else "127.0.0.1")
    assert span.attributes.get("network.peer.port") == port


@every_kind
async def test_span_is_a_child_of_the_callers(world: World, recorded: TelemetryInMemory):
    """The caller's span is the parent, and is current again after the call."""
    client = world.client()
    tracer = recorded.tracer_provider.get_tracer("caller")
    with tracer.start_as_current_span("caller") as parent:
        await settle(client.set("a", 1))
        await settle(client.get("a"))
    first, second, _ = recorded.spans()
    assert first.parent.span_id == second.parent.span_id == parent.get_span_context().span_id


@every_kind
async def test_error_reply_is_an_error_with_the_servers_prefix(world: World, recorded: TelemetryInMemory):
    """A WRONGTYPE reply reaches the caller, and the span has the error without a value of the program."""
    client = world.client()
    await settle(client.set("text", "not-a-list"))
    recorded.clear()
    _, error = await outcome_of(lambda: client.lpush("text", "pushed"))
    assert "WRONGTYPE" in str(error)
    span = recorded.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "Operation against a key holding the wrong kind of value"
    assert span.attributes["error.type"] == span.attributes["db.response.status_code"] == "WRONGTYPE"
    assert span.events == ()
    (event,) = recorded.events("db.client.operation.exception")
    assert event.trace_id == span.context.trace_id
    assert event.span_id == span.context.span_id
    assert event.attributes["error.type"] == "WRONGTYPE"


@every_kind
async def test_duration_metric_has_one_measurement_per_command(world: World, recorded: TelemetryInMemory):
    """Success and failure are one measurement each in the histogram, failures with error.type."""
    client = world.client()
    for _ in range(3):
        await settle(client.set("text", "v"))
    await outcome_of(lambda: client.lpush("text", "x"))
    address, port = world.address_of("text")
    points = {point.attributes["db.operation.name"]: point for point in recorded.metric("db.client.operation.duration")}
    assert set(points) == {"SET", "LPUSH"}
    assert points["SET"].count == 3
    assert "error.type" not in points["SET"].attributes
    assert points["LPUSH"].count == 1
    assert points["LPUSH"].attributes["error.type"] == "WRONGTYPE"
    for point in points.values():
        assert point.attributes["server.address"] == address
        assert point.attributes.get("server.port") == port


@sync_and_async
async def test_connection_refused_names_no_peer(world: World, recorded: TelemetryInMemory):
    """A server that is not there gives one failed span: qualified exception class, no status code, no peer."""
    client = world.package.Redis(host="127.0.0.1", port=1, retry=None)
    _, error = await outcome_of(lambda: client.get("a"))
    assert isinstance(error, ConnectionError) or type(error).__name__ == "ConnectionError"
    span = recorded.span()
    assert span.name == "GET 127.0.0.1:1"
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"].endswith("ConnectionError") or "Refused" in span.attributes["error.type"]
    assert "db.response.status_code" not in span.attributes
    assert "network.peer.address" not in span.attributes


@with_clusters
@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [True, False])
async def test_every_protocol_and_decoding_gives_the_same_span(
    world: World, recorded: TelemetryInMemory, protocol: int, decode: bool
):
    """The telemetry is the same for RESP2 and RESP3, and for text and bytes replies."""
    client = world.client(protocol=protocol, decode_responses=decode)
    await settle(client.hset("h", "field", "value"))
    answer = await settle(client.hgetall("h"))
    assert answer == ({"field": "value"} if decode else {b"field": b"value"})
    assert [span.name for span in recorded.spans()] == ["HSET" + world.target("h"), "HGETALL" + world.target("h")]
    assert [span.attributes["db.query.text"] for span in recorded.spans()] == ["HSET ? ? ?", "HGETALL ?"]


@sync_and_async
async def test_namespace_is_the_database_index_and_never_in_the_name(world: World, recorded: TelemetryInMemory):
    """The database index is an attribute, as text, and not a part of the span's name."""
    client = world.client(db=3)
    await settle(client.ping())
    span = recorded.span()
    assert span.attributes["db.namespace"] in ("0", "3")
    assert span.name == "PING" + world.target("")
    other = world.package.Redis(host=world.server.host, port=world.server.port, db=3)
    world._made.append(other)
    recorded.clear()
    await settle(other.ping())
    assert recorded.span().attributes["db.namespace"] == "3"
    assert recorded.span().name == "PING" + world.target("")


@with_clusters
async def test_scan_iter_gives_one_span_per_call(world: World, recorded: TelemetryInMemory):
    """An iterator gives one span for each command it sends, and each ends before the next item is requested."""
    client = world.client()
    for index in range(50):
        await settle(client.sadd("members", f"member-{index:03}" * 20))
    recorded.clear()
    found = await drain(client.sscan_iter("members", count=10))
    assert len(found) == 50
    spans = recorded.spans()
    assert len(spans) >= 3
    assert {span.name for span in spans} == {"SSCAN" + world.target("members")}


@with_clusters
async def test_iterator_closed_early_leaves_nothing_open(world: World, recorded: TelemetryInMemory):
    """An iterator that is left half-way leaves no span open and none current."""
    from opentelemetry import trace

    client = world.client()
    for index in range(40):
        await settle(client.sadd("members", f"member-{index:03}" * 20))
    recorded.clear()
    iterator = client.sscan_iter("members", count=5)
    if hasattr(iterator, "__anext__"):
        await iterator.__anext__()
        await iterator.aclose()
    else:
        next(iterator)
        iterator.close()
    assert len(recorded.spans()) == 1
    assert not trace.get_current_span().get_span_context().is_valid


@with_clusters
async def test_lower_case_command_keeps_its_spelling(world: World, recorded: TelemetryInMemory):
    """The operation keeps the spelling that the program used, as the conventions require."""
    client = world.client()
    await settle(client.execute_command("get", "k"))
    assert recorded.span().attributes["db.operation.name"] == "get"


@with_clusters
async def test_cluster_start_up_and_handshakes_are_no_operations(world: World, recorded: TelemetryInMemory):
    """Connecting, asking for the topology and the command table give no span and no measurement."""
    client = world.client()
    await settle(client.get("k"))
    assert len(recorded.spans()) == 1
    assert recorded.value("db.client.operation.duration") == 1


@sync_and_async
async def test_blocking_command_is_a_span_of_its_full_time(world: World, recorded: TelemetryInMemory):
    """A blocking command that waits in vain is one successful span, as long as the wait."""
    client = world.client(socket_timeout=None)
    assert await settle(client.blpop(["empty"], timeout=0.1)) is None
    span = recorded.span()
    assert span.name == "BLPOP" + world.target("empty")
    assert (span.end_time - span.start_time) / 1e9 >= 0.09
    assert span.status.status_code is StatusCode.UNSET


@sync_and_async
async def test_what_may_be_held_is_marked_from_the_start(world: World, recorded: TelemetryInMemory):
    """Calls that ask the server to hold its reply are marked when the span starts.

    A sampler can treat them apart from others of the same command.
    """
    client = world.client()
    await settle(client.xread({"s": "$"}, block=1))
    await settle(client.execute_command("XREAD", "COUNT", 1, "STREAMS", "s", "0"))
    await settle(client.blpop(["empty"], timeout=0.01))
    await settle(client.lpop("empty"))
    marks = [span.attributes.get("redis.client.operation.blocking") for span in recorded.spans()]
    assert marks == [True, None, True, None]


@sync_and_async
async def test_sampler_sees_the_attributes(world: World, telemetry: TelemetryInMemory):
    """A sampler can decide by attributes, because they are given when the span is created."""
    from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

    from redispan import RedispanInstrumentor

    seen: list[tuple[str, dict]] = []

    class Keen(Sampler):
        def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, *_, **__):
            seen.append((name, dict(attributes or {})))
            return SamplingResult(Decision.DROP)

        def get_description(self):
            return "keen"

    sampled = TelemetryInMemory(sampler=Keen())
    RedispanInstrumentor().instrument(**sampled.providers)
    client = world.client()
    await settle(client.get("k"))
    name, attributes = seen[0]
    assert name == "GET" + world.target("k")
    wanted = {"db.system.name", "db.operation.name", "db.namespace", "db.query.text", "server.address", "server.port"}
    assert wanted <= set(attributes)
    assert sampled.spans() == []
    assert sampled.value("db.client.operation.duration") == 1
    sampled.close()


@sync_and_async
async def test_monitor_gives_no_endless_span(world: World, recorded: TelemetryInMemory):
    """MONITOR is counted as a command without a span, because it has no moment at which a span could end."""
    from redispan._core.slot import SLOT

    client = world.client()
    async with _entered(client.monitor()) as monitor:
        await settle(monitor.connect()) if world.is_async else None
    assert [span.name for span in recorded.spans() if "MONITOR" in span.name] == []
    assert sum(SLOT.runtime.self_metrics.read("raw").values()) >= 1


class _entered:  # noqa: N801 - reads as a verb
    def __init__(self, manager):
        self.manager = manager

    async def __aenter__(self):
        if hasattr(self.manager, "__aenter__"):
            return await self.manager.__aenter__()
        return self.manager.__enter__()

    async def __aexit__(self, *how):
        if hasattr(self.manager, "__aexit__"):
            return await self.manager.__aexit__(*how)
        return self.manager.__exit__(*how)


@sync_and_async
async def test_raw_connection_is_counted_by_class_without_a_span(world: World, recorded: TelemetryInMemory):
    """Commands written straight to a connection (as kombu's BRPOP) are counted by command group, without a span."""
    client = world.client()
    taken = await take_connection(client.connection_pool)
    await settle(taken.send_command("BRPOP", "secret-queue", "1"))
    await settle(taken.disconnect())
    assert recorded.spans() == []
    assert recorded.value("redis.client.raw_commands", {"redis.client.command.group": "list"}) == 1
    assert recorded.value("db.client.operation.duration") == 0
    await settle(client.ping())
    assert recorded.value("redis.client.raw_commands") == 1


class _Started(SpanProcessor):
    """A processor that records the state of spans when they start."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any], bool]] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.seen.append((span.name, dict(span.attributes), trace.get_current_span().get_span_context().is_valid))


@every_kind
async def test_span_starts_with_all_it_has(world: World, recorded: TelemetryInMemory):
    """Samplers and processors get name, server and peer at the start, in clusters and behind Sentinel too."""
    client = world.client()
    await settle(client.set("user:42", "v"))
    started = _Started()
    recorded.tracer_provider.add_span_processor(started)
    recorded.clear()
    with recorded.tracer_provider.get_tracer("program").start_as_current_span("around"):
        await settle(client.get("user:42"))
        assert trace.get_current_span().name == "around"
    span, around = recorded.spans()
    assert started.seen[1] == (span.name, dict(span.attributes), True)
    assert span.parent.span_id == around.context.span_id


@every_kind
async def test_span_is_as_long_as_the_call(world: World, recorded: TelemetryInMemory):
    """Span and measurement agree to the clock's resolution, even where the span starts once the server is known."""
    client = world.client()
    await settle(client.get("user:42"))
    span = recorded.span()
    (measured,) = recorded.metrics()["db.client.operation.duration"].data.data_points
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(measured.sum, abs=2e-6)
    recorded.clear()
    before_ns = time.time_ns()
    await settle(client.get("user:42"))
    assert before_ns - 1_000_000 <= recorded.span().start_time <= recorded.span().end_time <= time.time_ns() + 1_000_000
