"""Pipelines and transactions: one span for what is sent together, on every kind of client."""

import pytest
from opentelemetry.trace import StatusCode

from clients import (
    REDIS_VERSION,
    World,
    every_kind,
    of_kinds,
    outcome_of,
    settle,
    sync_and_async,
    with_clusters,
)
from redispan.testing import TelemetryInMemory

pytestmark = pytest.mark.redis

TRANSACTIONS = ("sync", "async", *(("cluster", "async-cluster") if REDIS_VERSION >= (6, 4) else ()))
"""Clusters have transactions since redis-py 6.3."""


@every_kind
async def test_pipeline_of_one_command_kind(world: World, recorded: TelemetryInMemory):
    """A pipeline of equal commands is one span, PIPELINE SET, with its size and one query text."""
    client = world.client()
    pipeline = world.pipeline(client)
    for _ in range(3):
        pipeline.set("k", "value")
    assert await settle(pipeline.execute()) == [True] * 3
    span = recorded.span()
    assert span.name == "PIPELINE SET" + world.target("k")
    assert span.attributes["db.operation.name"] == "PIPELINE SET"
    assert span.attributes["db.operation.batch.size"] == 3
    assert span.attributes["db.query.text"] == "SET ? ?"
    assert span.attributes["network.peer.address"] == (world.server.unix_path if world.place == "unix" else "127.0.0.1")
    assert recorded.value("db.client.operation.duration", {"db.operation.name": "PIPELINE SET"}) == 1
    assert recorded.value("redis.client.operations") == 3


@with_clusters
async def test_pipeline_of_mixed_commands(world: World, recorded: TelemetryInMemory):
    """A mixed pipeline is PIPELINE, its text names the commands and none of their arguments."""
    client = world.client()
    pipeline = world.pipeline(client)
    pipeline.set("k", "v")
    pipeline.get("k")
    assert await settle(pipeline.execute()) == [True, "v"]
    span = recorded.span()
    assert span.name == "PIPELINE" + world.target("k")
    assert span.attributes["db.operation.name"] == "PIPELINE"
    assert span.attributes["db.query.text"] == "SET ? ?; GET ?"
    assert span.attributes["db.operation.batch.size"] == 2


@of_kinds(*TRANSACTIONS)
@pytest.mark.parametrize(("commands", "name"), [(["SET", "SET"], "MULTI SET"), (["SET", "GET"], "MULTI")])
async def test_transaction_is_named_after_multi(
    world: World, recorded: TelemetryInMemory, commands: list[str], name: str
):
    """A transaction is named MULTI, and its wrappers are not counted."""
    client = world.client()
    pipeline = world.pipeline(client, transaction=True)
    for command in commands:
        pipeline.execute_command(command, "k", *(["v"] if command == "SET" else []))
    await settle(pipeline.execute())
    span = recorded.span()
    assert span.name == name + world.target("k")
    assert span.attributes["db.operation.batch.size"] == 2


@with_clusters
async def test_batch_of_one_is_that_command(world: World, recorded: TelemetryInMemory):
    """A pipeline with one command is a plain command, without a batch size."""
    client = world.client()
    pipeline = client.pipeline()
    pipeline.set("k", "v")
    assert await settle(pipeline.execute()) == [True]
    span = recorded.span()
    assert span.name == "SET" + world.target("k")
    assert "db.operation.batch.size" not in span.attributes
    assert span.attributes["db.query.text"] == "SET ? ?"


def prefix_told(world: World, *, raised: bool) -> str:
    """Return the part of the error prefix WRONGTYPE that the client keeps.

    The asyncio pipelines of redis-py 6 write '{exception.args}' in place of the server's message when they raise.
    """
    return "ERR" if raised and world.kind == "async" and REDIS_VERSION[0] == 6 else "WRONGTYPE"


@with_clusters
@pytest.mark.parametrize("raised", [True, False])
async def test_error_in_a_batch_of_one(world: World, recorded: TelemetryInMemory, raised: bool):
    """An error reply to the only command marks the span, whether the client raises it or returns it in the list."""
    client = world.client()
    await settle(client.set("text", "v"))
    recorded.clear()
    pipeline = client.pipeline()
    pipeline.lpush("text", "x")
    answer, error = await outcome_of(lambda: pipeline.execute(raise_on_error=raised))
    assert (error is not None) is raised
    if not raised:
        assert "WRONGTYPE" in str(answer[0])
    span = recorded.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == prefix_told(world, raised=raised)


@with_clusters
@pytest.mark.parametrize("raised", [True, False])
async def test_error_in_a_batch(world: World, recorded: TelemetryInMemory, raised: bool):
    """The first error of a batch marks its span and its measurement, whether it is raised or returned."""
    client = world.client()
    await settle(client.set("text", "v"))
    recorded.clear()
    pipeline = world.pipeline(client)
    pipeline.get("text")
    pipeline.lpush("text", "pushed-value")
    _, error = await outcome_of(lambda: pipeline.execute(raise_on_error=raised))
    assert (error is not None) is raised
    span = recorded.span()
    assert span.name == "PIPELINE" + world.target("text")
    assert span.status.status_code is StatusCode.ERROR
    told_prefix = prefix_told(world, raised=raised)
    assert span.attributes["error.type"] == span.attributes["db.response.status_code"] == told_prefix
    assert "pushed-value" not in span.to_json()
    assert recorded.value("db.client.operation.duration", {"error.type": told_prefix}) == 1
    assert len(recorded.events("db.client.operation.exception")) == 1


@with_clusters
async def test_empty_pipeline_sends_nothing_and_has_no_span(world: World, recorded: TelemetryInMemory):
    """An empty pipeline gives an empty list and no telemetry."""
    assert await settle(world.client().pipeline().execute()) == []
    assert recorded.spans() == []
    assert recorded.value("db.client.operation.duration") == 0


@of_kinds(*TRANSACTIONS)
async def test_watched_transaction_shows_watch_reads_and_multi(world: World, recorded: TelemetryInMemory):
    """A WATCH transaction gives a span each for its WATCH, its immediate reads and its MULTI."""
    client = world.client()
    await settle(client.set("k", "1"))
    recorded.clear()
    pipeline = world.pipeline(client, transaction=True)
    await settle(pipeline.watch("k"))
    assert await settle(pipeline.get("k")) == "1"
    pipeline.multi()
    pipeline.set("k", "2")
    pipeline.set("k", "3")
    assert len(await settle(pipeline.execute())) == 2
    target = world.target("k")
    assert [span.name for span in recorded.spans()] == ["WATCH" + target, "GET" + target, "MULTI SET" + target]
    assert all("redis.client.operation.retries" not in span.attributes for span in recorded.spans())


@of_kinds(*TRANSACTIONS)
async def test_lost_optimistic_lock_is_flow_control(world: World, recorded: TelemetryInMemory):
    """A WatchError reaches the program, and neither span nor metric counts it as an error."""
    client, other = world.client(), world.client()
    await settle(client.set("k", "1"))
    pipeline = world.pipeline(client, transaction=True)
    await settle(pipeline.watch("k"))
    await settle(other.set("k", "changed"))
    recorded.clear()
    pipeline.multi()
    pipeline.set("k", "2")
    pipeline.set("k", "3")
    _, error = await outcome_of(pipeline.execute)
    assert type(error).__name__ == "WatchError"
    span = recorded.span()
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in span.attributes
    assert recorded.events("db.client.operation.exception") == []
    assert all("error.type" not in point.attributes for point in recorded.metric("db.client.operation.duration"))


@of_kinds(*TRANSACTIONS)
async def test_discarded_transaction_is_an_error_without_a_retry(world: World, recorded: TelemetryInMemory):
    """A transaction that the server refuses is an error. The UNWATCH that cleans up after it is no retry."""
    client = world.client()
    pipeline = world.pipeline(client, transaction=True)
    await settle(pipeline.watch("k"))
    recorded.clear()
    pipeline.multi()
    pipeline.set("k", "2")
    pipeline.execute_command("GET", "k", "one argument too many")
    _, error = await outcome_of(pipeline.execute)
    assert error is not None
    span = recorded.span()
    assert span.status.status_code is StatusCode.ERROR
    assert "redis.client.operation.retries" not in span.attributes


@sync_and_async
async def test_transaction_helper_gives_the_same_spans(world: World, recorded: TelemetryInMemory):
    """``client.transaction()`` gives WATCH and MULTI spans."""
    client = world.client()

    def work(pipeline):
        pipeline.multi()
        pipeline.incr("k")
        pipeline.incr("k")

    assert await settle(client.transaction(work, "k")) == [1, 2]
    assert [span.name.split()[0] for span in recorded.spans()] == ["WATCH", "MULTI"]


@with_clusters
async def test_pipeline_used_again_is_a_new_span(world: World, recorded: TelemetryInMemory):
    """Each execution of one pipeline object is a separate span."""
    client = world.client()
    pipeline = client.pipeline()
    for size in (1, 2, 3):
        for _ in range(size):
            pipeline.incr("k")
        await settle(pipeline.execute())
    assert [span.attributes.get("db.operation.batch.size") for span in recorded.spans()] == [None, 2, 3]


@of_kinds("cluster", "async-cluster")
async def test_pipeline_over_all_nodes_is_one_span(world: World, recorded: TelemetryInMemory):
    """A pipeline that reaches every node of a cluster is one operation without retries or redirects."""
    client = world.client()
    pipeline = client.pipeline()
    keys = [f"key-{index}" for index in range(30)]
    assert len({world.server.owner_of(key).port for key in keys}) == 3
    for key in keys:
        pipeline.set(key, "v")
    assert await settle(pipeline.execute()) == [True] * 30
    span = recorded.span()
    assert span.name.startswith("PIPELINE SET 127.0.0.1:")
    assert span.attributes["db.operation.batch.size"] == 30
    assert "redis.client.operation.retries" not in span.attributes
    assert "redis.client.operation.redirect.count" not in span.attributes


@with_clusters
async def test_container_commands_are_told_apart_in_a_batch(world: World, recorded: TelemetryInMemory):
    """A batch gets the name that is true for all its commands.

    A batch of OBJECT ENCODING alone has that name. One that mixes subcommands, as CONFIG GET and CONFIG SET, does not.
    """
    client = world.client()
    await settle(client.set("k", "v"))
    recorded.clear()
    pipeline = world.pipeline(client)
    pipeline.object("ENCODING", "k")
    pipeline.object("ENCODING", "k")
    await outcome_of(pipeline.execute)
    pipeline.object("ENCODING", "k")
    pipeline.object("REFCOUNT", "k")
    await outcome_of(pipeline.execute)
    names = [span.attributes["db.operation.name"] for span in recorded.spans()]
    assert names == ["PIPELINE OBJECT ENCODING", "PIPELINE"]
