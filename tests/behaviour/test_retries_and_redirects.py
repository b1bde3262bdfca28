"""What the client retries or follows by itself is one span without an error, and is counted."""

import contextlib
import threading
from collections.abc import Callable

import pytest
import redis
import redis.asyncio.sentinel
import redis.sentinel
from opentelemetry.trace import StatusCode

from clients import (
    World,
    clusters,
    every_kind,
    of_kinds,
    outcome_of,
    settle,
    sync_and_async,
)
from redispan.testing import TelemetryInMemory
from servers.dead_ends import dead_port
from servers.fault_proxy import FaultProxy
from waiting import wait_until

pytestmark = pytest.mark.redis


def retrying(world: World, retries: int = 3):
    """Return a retry object for this kind of client."""
    if world.is_async:
        from redis.asyncio.retry import Retry
    else:
        from redis.retry import Retry
    from redis.backoff import ConstantBackoff

    return Retry(ConstantBackoff(0.001), retries)


def client_for(world: World, port: int, **options):
    """Return a client of a given port, which is closed with the others."""
    client = world.package.Redis(
        host="127.0.0.1",
        port=port,
        retry=retrying(world),
        retry_on_error=[ConnectionError, redis.ConnectionError],
        **options,
    )
    world._made.append(client)
    return client


@of_kinds("sync", "async", "unix", "async-unix")
async def test_killed_connection_is_one_span_with_its_retry(world: World, recorded: TelemetryInMemory):
    """One retry repairs a connection that is lost between two commands: one span, no error, one retry."""
    client = world.client(retry=retrying(world), retry_on_error=[redis.ConnectionError])
    await settle(client.set("k", "v"))
    recorded.clear()
    world.server.kill_clients()
    assert await settle(client.get("k")) == "v"
    span = recorded.span()
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in span.attributes
    retries = span.attributes.get("redis.client.operation.retries")
    # Newer versions notice the lost connection when they take it from the pool, so they have nothing to retry.
    assert retries in (None, 1)
    assert recorded.value("redis.client.operation.retries") == (retries or 0)
    assert recorded.value("db.client.operation.duration", {"db.operation.name": "GET"}) == 1
    assert recorded.events("db.client.operation.exception") == []


@sync_and_async
async def test_reply_lost_on_the_way_is_one_span_with_its_retry(
    world: World, recorded: TelemetryInMemory, fault_proxy: FaultProxy
):
    """A connection that is cut in the middle of a command is one retry of the same span."""
    client = client_for(world, fault_proxy.port)
    await settle(client.set("k", "v"))
    recorded.clear()
    fault_proxy.open_connections[0].replies.cut_after_bytes = 0
    assert await settle(client.get("k")) == b"v"
    span = recorded.span()
    assert span.attributes["redis.client.operation.retries"] == 1
    assert span.status.status_code is StatusCode.UNSET
    assert recorded.value("redis.client.operation.retries") == 1


@sync_and_async
async def test_retries_of_connecting_count_too(world: World, recorded: TelemetryInMemory):
    """When a server is away for all attempts, there is one failed span, with the number of retries."""
    client = client_for(world, 1)
    _, error = await outcome_of(lambda: client.get("k"))
    assert isinstance(error, redis.ConnectionError)
    span = recorded.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["redis.client.operation.retries"] >= 3
    assert "network.peer.address" not in span.attributes
    assert recorded.value("db.client.operation.duration") == 1
    assert len(recorded.events("db.client.operation.exception")) == 1


@sync_and_async
async def test_server_that_comes_back_in_time_heals_the_call(
    world: World, recorded: TelemetryInMemory, fault_proxy: FaultProxy
):
    """When the server is back at the second or third attempt, the call succeeds, with its retries on the span."""
    fault_proxy.refuse()
    # Before version 7, redis-py retries connecting only after errors with the operating system's error names.
    client = world.package.Redis(
        host="127.0.0.1",
        port=fault_proxy.port,
        retry=slow_retry(world),
        retry_on_error=[redis.ConnectionError, ConnectionError],
    )
    world._made.append(client)
    healer = threading.Timer(0.15, fault_proxy.heal)
    healer.start()
    try:
        assert await settle(client.get("k")) is None
    finally:
        healer.join()
    span = recorded.span()
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["redis.client.operation.retries"] >= 1


def slow_retry(world: World):
    """Return a retry object that is patient enough for a server that is away for a moment."""
    retry = retrying(world, 40)
    from redis.backoff import ConstantBackoff

    retry._backoff = ConstantBackoff(0.03)
    return retry


@sync_and_async
async def test_exhausted_retries_end_in_one_failure(world: World, recorded: TelemetryInMemory, fault_proxy: FaultProxy):
    """When every attempt is cut, there is one failed span with all its retries, one measurement and one event."""
    client = client_for(world, fault_proxy.port)
    await settle(client.get("k"))
    recorded.clear()
    fault_proxy.default.replies.cut_after_bytes = 0
    fault_proxy.open_connections[0].replies.cut_after_bytes = 0
    _, error = await outcome_of(lambda: client.get("k"))
    assert isinstance(error, redis.ConnectionError)
    span = recorded.span()
    assert span.attributes["redis.client.operation.retries"] >= 3
    assert span.attributes["error.type"]
    assert len(recorded.events("db.client.operation.exception")) == 1


@sync_and_async
async def test_timeout_is_an_error_of_the_client(world: World, recorded: TelemetryInMemory):
    """A reply that does not come in time is an error with the exception's class and without a status code."""
    client = world.client(socket_timeout=0.5, retry=None)
    await settle(client.ping())
    recorded.clear()
    world.server.call("CLIENT", "PAUSE", "60000", "WRITE")
    _, error = await outcome_of(lambda: client.set("k", "v"))
    world.server.call("CLIENT", "UNPAUSE")
    assert isinstance(error, redis.TimeoutError)
    span = recorded.span()
    assert span.attributes["error.type"].endswith("TimeoutError")
    assert "db.response.status_code" not in span.attributes


def redirects_answered(server) -> int:
    """Return how many MOVED and ASK replies the masters gave since they were cleaned, to check the counter against."""
    stats = [master.info("errorstats") for master in server.masters]
    return sum(
        int(value.removeprefix("count="))
        for found in stats
        for name, value in found.items()
        if name in ("errorstat_MOVED", "errorstat_ASK")
    )


@contextlib.contextmanager
def slot_moved(server, key: str):
    """Give the slot of a key to another master, without its keys, and give it back."""
    slot = server.masters[0].call("CLUSTER", "KEYSLOT", key)
    source = server.owner_of(key)
    target = next(master for master in server.masters if master.port != source.port)
    everyone = [target, source, *(m for m in server.masters if m not in (source, target))]

    def give(to) -> None:
        identity = to.call("CLUSTER", "MYID")
        for node in everyone:
            node.call("CLUSTER", "SETSLOT", slot, "NODE", identity)
        to.call("CLUSTER", "BUMPEPOCH")  # the newest claim wins; otherwise gossip could undo it during the next test

    source.call("FLUSHALL")
    give(target)
    try:
        yield target
    finally:
        target.call("FLUSHALL")
        give(source)
        wait_until(
            lambda: len({str(node.call("CLUSTER", "SLOTS")) for node in everyone}) == 1, "the nodes to agree again"
        )


@clusters
async def test_moved_is_followed_without_an_error(world: World, recorded: TelemetryInMemory):
    """The client follows a MOVED reply: one span of the server that answered, one redirect, no error, no retry."""
    client = world.client()
    await settle(client.get("k"))
    recorded.clear()
    with slot_moved(world.server, "k") as target:
        assert await settle(client.set("k", "v")) is True
    span = recorded.span()
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in span.attributes
    redirects = redirects_answered(world.server)
    assert span.attributes["redis.client.operation.redirect.count"] == redirects >= 1
    assert "redis.client.operation.retries" not in span.attributes or redirects > 1
    assert span.attributes["server.port"] == span.attributes["network.peer.port"] == target.port
    assert span.name == f"SET 127.0.0.1:{target.port}"
    assert recorded.value("redis.client.redirects") == redirects
    assert recorded.events("db.client.operation.exception") == []


@clusters
async def test_ask_is_followed_without_an_error(world: World, recorded: TelemetryInMemory):
    """The client follows an ASK reply with ASKING: one span, one redirect, no retry for the extra command."""
    client = world.client()
    server = world.server
    await settle(client.get("k"))
    recorded.clear()
    slot = server.masters[0].call("CLUSTER", "KEYSLOT", "k")
    source = server.owner_of("k")
    target = next(master for master in server.masters if master.port != source.port)
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.call("CLUSTER", "MYID"))
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.call("CLUSTER", "MYID"))
    try:
        assert await settle(client.set("k", "v")) is True
    finally:
        target.call("FLUSHALL")
        for node in (source, target):
            node.call("CLUSTER", "SETSLOT", slot, "STABLE")
    span = recorded.span()
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["redis.client.operation.redirect.count"] == 1
    assert "redis.client.operation.retries" not in span.attributes
    assert span.attributes["server.port"] == target.port


@clusters
async def test_moved_inside_a_pipeline_is_followed(world: World, recorded: TelemetryInMemory):
    """A pipeline with a moved key succeeds: one span, a redirect, no error."""
    client = world.client()
    await settle(client.get("k"))
    recorded.clear()
    with slot_moved(world.server, "k"):
        pipeline = world.pipeline(client)
        for key in ("k", "other-1", "other-2", "other-3"):
            pipeline.set(key, "v")
        assert await settle(pipeline.execute()) == [True] * 4
    span = recorded.span()
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["redis.client.operation.redirect.count"] >= 1
    assert "redis.client.operation.retries" not in span.attributes


@sync_and_async
async def test_redirect_that_nobody_follows_is_an_error(world: World, recorded: TelemetryInMemory, cluster_server):
    """A plain client at a cluster node raises MOVED: an error with that prefix, and no redirect is counted."""
    owner = cluster_server.owner_of("k")
    wrong = next(master for master in cluster_server.masters if master.port != owner.port)
    client = world.package.Redis(host=wrong.host, port=wrong.port)
    world._made.append(client)
    _, error = await outcome_of(lambda: client.get("k"))
    assert isinstance(error, redis.ResponseError)  # newer versions raise MovedError
    span = recorded.span()
    assert span.attributes["error.type"] == "MOVED"
    assert "redis.client.operation.redirect.count" not in span.attributes
    assert recorded.value("redis.client.redirects") == 0


@clusters
async def test_command_for_all_nodes_is_one_span_without_retries(world: World, recorded: TelemetryInMemory):
    """A command that goes to every master is one span. Sending it three times is no retry."""
    client = world.client()
    await settle(client.set("k", "v"))
    recorded.clear()
    await settle(client.flushall(target_nodes=world.package.RedisCluster.PRIMARIES))
    span = recorded.span()
    assert span.name.startswith("FLUSHALL")
    assert all(master.call("DBSIZE") == 0 for master in world.server.masters)
    assert "redis.client.operation.retries" not in span.attributes


@every_kind
async def test_ordinary_commands_have_neither_retries_nor_redirects(world: World, recorded: TelemetryInMemory):
    """A command without a retry or redirect has neither attribute and adds to neither counter."""
    client = world.client()
    for index in range(5):
        await settle(client.set(f"k{index}", "v"))
    if world.is_cluster and redirects_answered(world.server):
        pytest.skip("the cluster still settles after the moves of the tests before")
    for span in recorded.spans():
        assert not [name for name in span.attributes if name.startswith("redis.client.operation.re")]
    assert recorded.value("redis.client.operation.retries") == recorded.value("redis.client.redirects") == 0


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_parts_of_an_operation_are_no_more_than_the_whole(
    kind: str, instrument: Callable[..., TelemetryInMemory]
) -> None:
    """Where connecting itself pauses and tries again, as behind Sentinel, a pause is counted once."""
    telemetry = instrument(pool_deadline_s=0.6, pool_connect_retry_s=0.3, slow_alert_ms=1)
    module = redis.asyncio if kind == "async" else redis
    with dead_port() as port:
        sentinel = module.sentinel.Sentinel([("127.0.0.1", port)])
        with pytest.raises(redis.ConnectionError):
            await settle(sentinel.master_for("nobody").get("k"))
    span = telemetry.span()
    parts = [span.attributes[f"redis.client.operation.{part}.time"] for part in ("connect", "backoff")]
    assert min(parts) >= 0
    assert sum(parts) <= (span.end_time - span.start_time) / 1e9 + 0.001
