"""The confirmed bugs of opentelemetry-instrumentation-redis 0.66b2, one by one: redispan has none of them."""

import asyncio

import pytest
import redis
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import StatusCode

from clients import World, clusters, of_kinds, outcome_of, settle, sync_and_async, with_clusters
from redispan import RedispanInstrumentor
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis


def shown_by(recorded: TelemetryInMemory) -> str:
    """Return all emitted telemetry as text."""
    return (
        "".join(span.to_json() for span in recorded.spans())
        + repr(recorded.metrics())
        + repr([(dict(record.attributes), record.body) for record in recorded.logs()])
    )


@sync_and_async
async def test_01_bytes_command_in_a_pipeline_is_sent(world: World, recorded: TelemetryInMemory):
    """A command given as bytes goes through a pipeline as it does without instrumentation."""
    pipeline = world.client().pipeline()
    pipeline.execute_command(b"SET", "a", 1)
    pipeline.execute_command(b"SET", "b", 1)
    answer = await settle(pipeline.execute())
    assert all(item in (True, "OK", b"OK") for item in answer)
    assert recorded.span().attributes["db.operation.name"] == "MULTI SET"


def search_reply():
    """Return an FT.SEARCH reply as RESP3 has it: a map, not a list."""
    return {"total_results": 1, "results": [{"id": "user:1", "extra_attributes": {"ssn": "078-05-1120"}}]}


@sync_and_async
@pytest.mark.parametrize("reply", [search_reply(), [1, b"user:1", [b"ssn", b"078-05-1120"]]])
async def test_02_and_04_search_results_are_neither_indexed_nor_shown(
    world: World, recorded: TelemetryInMemory, reply: object
):
    """FT.SEARCH replies of any shape reach the caller unchanged, and no part of query or document is emitted."""
    client = world.client()

    async def answer(*_, **__):
        return reply

    client.parse_response = answer if world.is_async else (lambda *_, **__: reply)
    result, error = await outcome_of(lambda: client.execute_command("FT.SEARCH", "idx", "@name:(s3cret)"))
    assert error is None
    assert result is reply
    span = recorded.span()
    assert span.attributes["db.operation.name"] == "FT.SEARCH"
    shown = shown_by(recorded)
    assert "s3cret" not in shown
    assert "078-05-1120" not in shown


@clusters
async def test_03_instrumented_cluster_client_makes_pipelines(world: World, telemetry: TelemetryInMemory):
    """After one cluster client is instrumented, its pipelines work and have spans."""
    client = world.client()
    RedispanInstrumentor.instrument_client(client, **telemetry.providers)
    pipeline = world.pipeline(client)
    pipeline.set("a", 1)
    pipeline.set("a", 2)
    assert await settle(pipeline.execute()) == [True, True]
    assert telemetry.span().name.startswith("PIPELINE SET 127.0.0.1:")
    RedispanInstrumentor.uninstrument_client(client)


@clusters
async def test_05_cluster_spans_have_system_server_and_database(world: World, recorded: TelemetryInMemory):
    """Commands and pipelines of a cluster carry the same attributes as those of a single server."""
    client = world.client()
    await settle(client.set("k", 1))
    pipeline = world.pipeline(client)
    pipeline.get("k")
    pipeline.get("k")
    await settle(pipeline.execute())
    assert len(recorded.spans()) == 2
    for span in recorded.spans():
        for name in ("db.system.name", "db.namespace", "server.address", "server.port", "network.peer.address"):
            assert name in span.attributes


@of_kinds("sentinel", "async-sentinel")
async def test_06_sentinel_spans_name_the_master(world: World, recorded: TelemetryInMemory):
    """The span names the master that answered as its server, not localhost:6379."""
    await settle(world.client().set("k", 1))
    assert recorded.span().attributes["server.port"] == world.server.master.port


@sync_and_async
async def test_07_stable_names_only(world: World, recorded: TelemetryInMemory):
    """By default the stable names are present, and none of the old ones."""
    client = world.client()
    await settle(client.set("k", 1))
    await outcome_of(lambda: client.lpush("k", 1))
    assert len(recorded.spans()) == 2
    for span in recorded.spans():
        assert span.attributes["db.operation.name"]
        assert span.attributes["db.namespace"] == "0"
        old = {"db.system", "db.statement", "db.operation", "db.redis.database_index", "db.redis.args_length"}
        assert not old & set(span.attributes)
        assert not [name for name in span.attributes if name.startswith(("net.", "db.redis"))]


@with_clusters
async def test_08_global_and_client_instrumentation_make_one_span(world: World, recorded: TelemetryInMemory):
    """A client that is instrumented twice gives one span per call."""
    client = world.client()
    RedispanInstrumentor.instrument_client(client, **recorded.providers)
    await settle(client.set("k", 1))
    pipeline = world.pipeline(client)
    pipeline.get("k")
    pipeline.get("k")
    await settle(pipeline.execute())
    assert [span.attributes["db.operation.name"] for span in recorded.spans()] == ["SET", "PIPELINE GET"]
    RedispanInstrumentor.uninstrument_client(client)


@with_clusters
async def test_09_client_is_instrumentable_again(world: World, telemetry: TelemetryInMemory):
    """After uninstrument_client, instrument_client works again."""
    client = world.client()
    for _ in range(2):
        RedispanInstrumentor.instrument_client(client, **telemetry.providers)
        await settle(client.set("k", 1))
        RedispanInstrumentor.uninstrument_client(client)
        await settle(client.set("k", 1))
    assert len(telemetry.spans()) == 2


@sync_and_async
async def test_10_uninstrumenting_a_stranger_is_quiet(world: World, caplog: pytest.LogCaptureFixture):
    """A client that was never instrumented can be uninstrumented."""
    client = world.client()
    RedispanInstrumentor.uninstrument_client(client)
    assert await settle(client.ping())
    assert not [record for record in caplog.records if record.name.startswith("redispan")]


async def test_11_sync_and_async_tell_the_same(redis_server, recorded: TelemetryInMemory):
    """The same call through a sync and an async client gives the same attributes."""
    sync_client = redis.Redis.from_url(redis_server.url)
    async_client = redis.asyncio.Redis.from_url(redis_server.url)
    for call in (("GET", "k"), ("FT.CREATE", "i", "SCHEMA", "t", "TEXT"), ("FT.SEARCH", "i", "q"), ("HSET", "h", 1, 2)):
        recorded.clear()
        with_sync = await outcome_of(lambda call=call: sync_client.execute_command(*call))
        with_async = await outcome_of(lambda call=call: async_client.execute_command(*call))
        assert type(with_sync[1]) is type(with_async[1])
        first, second = recorded.spans()
        assert (first.name, dict(first.attributes)) == (second.name, dict(second.attributes))
    sync_client.close()
    await async_client.aclose()


@sync_and_async
async def test_12_bytes_command_has_a_plain_name(world: World, recorded: TelemetryInMemory):
    """The command ``b"GET"`` is named GET."""
    await settle(world.client().execute_command(b"GET", "k"))
    span = recorded.span()
    assert span.name == "GET" + world.target("k")
    assert span.attributes["db.query.text"] == "GET ?"


@sync_and_async
async def test_13_big_pipeline_has_a_short_name_and_text(world: World, recorded: TelemetryInMemory):
    """A pipeline of 2,000 commands has neither a long name nor a long text, and a transaction is marked as one."""
    client = world.client()
    for transaction in (False, True):
        pipeline = client.pipeline(transaction=transaction)
        for index in range(1000):
            pipeline.set(index, "v")
            pipeline.get(index)
        await settle(pipeline.execute())
    batch, transaction = recorded.spans()
    assert batch.name == "PIPELINE" + world.target("")
    assert transaction.name == "MULTI" + world.target("")
    assert max(len(span.attributes["db.query.text"]) for span in recorded.spans()) <= 1024


@with_clusters
async def test_14_hooks_are_called_for_pipelines_and_on_errors(world: World, instrument):
    """Request and response hooks see commands, pipelines and failures."""
    requests, responses = [], []
    instrument(
        request_hook=lambda span, instance, args, kwargs: requests.append(args),
        response_hook=lambda span, instance, response: responses.append(response),
    )
    client = world.client()
    await settle(client.set("k", "v"))
    pipeline = world.pipeline(client)
    pipeline.get("k")
    pipeline.get("k")
    await settle(pipeline.execute())
    _, error = await outcome_of(lambda: client.lpush("k", 1))
    assert [len(args) for args in requests] == [3, 2, 3]
    assert responses == [True, ["v", "v"], error]


@with_clusters
async def test_15_errors_returned_by_a_pipeline_show(world: World, recorded: TelemetryInMemory):
    """Errors in the answers of ``raise_on_error=False`` mark the span."""
    client = world.client()
    await settle(client.set("k", "v"))
    pipeline = world.pipeline(client)
    pipeline.get("k")
    pipeline.lpush("k", 1)
    await settle(pipeline.execute(raise_on_error=False))
    span = recorded.spans()[-1]
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "WRONGTYPE"


@with_clusters
async def test_16_empty_pipeline_has_no_span(world: World, recorded: TelemetryInMemory):
    """A pipeline that sends nothing is no operation."""
    await settle(world.client().pipeline().execute())
    assert recorded.spans() == []


@of_kinds("sync", "async", "cluster", "async-cluster")
async def test_17_subscribing_is_emitted_and_starting_up_is_not(world: World, recorded: TelemetryInMemory):
    """SUBSCRIBE has a span; a cluster's start-up has none."""
    client = world.client()
    if world.kind != "async-cluster":
        pubsub = client.pubsub()
        await settle(pubsub.subscribe("c"))
        assert recorded.span().name.startswith("SUBSCRIBE")
        await settle((getattr(pubsub, "aclose", None) or pubsub.close)())
        recorded.clear()
    await settle(client.get("k"))
    assert [span.attributes["db.operation.name"] for span in recorded.spans()] == ["GET"]


@sync_and_async
async def test_18_pool_exhaustion_and_cancellation_say_so(world: World, recorded: TelemetryInMemory):
    """An exhausted pool and a cancelled call are errors whose type names what happened."""
    pool = world.package.ConnectionPool.from_url(world.server.url, max_connections=1)
    client = world.package.Redis(connection_pool=pool)
    world._made.append(client)
    from clients import take_connection

    taken = await take_connection(pool)
    _, error = await outcome_of(lambda: client.get("k"))
    assert error is not None
    assert recorded.span().attributes["error.type"] == f"redis.exceptions.{type(error).__name__}"
    await settle(pool.release(taken))
    if world.is_async:
        recorded.clear()
        task = asyncio.ensure_future(client.blpop(["nothing"], timeout=5))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        span = recorded.span()
        assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
        assert span.status.status_code is StatusCode.ERROR


class Attentive(Sampler):
    """A sampler that remembers the attributes it saw."""

    def __init__(self):
        self.saw: list[dict] = []

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, *_, **__):
        self.saw.append(dict(attributes or {}))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self):
        return "attentive"


@with_clusters
async def test_19_samplers_see_the_attributes(world: World):
    """The attributes that the conventions call sampling-relevant are present when the sampler decides."""
    sampler = Attentive()
    telemetry = TelemetryInMemory(sampler=sampler)
    RedispanInstrumentor().instrument(**telemetry.providers)
    client = world.client()
    pipeline = world.pipeline(client)
    pipeline.get("k")
    pipeline.get("k")
    await settle(client.get("k"))
    await settle(pipeline.execute())
    for saw in sampler.saw:
        assert {"db.system.name", "db.operation.name", "db.namespace", "db.query.text", "server.address"} <= set(saw)
    assert len(sampler.saw) == 2
    RedispanInstrumentor().uninstrument()
    telemetry.close()


def test_20_cache_hits_are_no_network_spans(recorded: TelemetryInMemory):
    """A reply from the client-side cache is counted, and has neither a span nor a measurement of the network."""
    from redispan._client.recording import client_shells, endpoints
    from redispan._core.slot import SLOT

    recorder = _active_recorder()
    endpoint = endpoints.intern("cached.example.com", 6379, "0", cached=True)
    client = type("Stub", (), {})()
    shell = client_shells.call_shell(
        lambda self, *args: b"cached", recorder, client_shells.of_command(recorder, lambda _: endpoint)
    )
    assert shell(client, "GET", "k") == b"cached"
    assert recorded.spans() == []
    assert recorded.value("db.client.operation.duration") == 0
    assert SLOT.runtime.self_metrics.read("cache_hits") == {"": 1}


def _active_recorder():
    return RedispanInstrumentor()._patches._recorders[0]
