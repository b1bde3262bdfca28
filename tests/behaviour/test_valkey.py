"""redispan instruments valkey-py, redis-py's fork, like redis-py: sync, asyncio, clusters, pipelines and errors."""

import importlib
from types import ModuleType
from typing import Any

import pytest

from clients import close, forget_clusters, outcome_of, settle
from redispan._core.slot import SLOT
from redispan.testing import TelemetryInMemory
from waiting import PATIENCE_S

pytestmark = pytest.mark.redis

valkey = pytest.importorskip("valkey")


@pytest.fixture(params=["valkey", "valkey.asyncio"], ids=["sync", "async"])
def package(request: pytest.FixtureRequest) -> ModuleType:
    """Return the package whose clients are used."""
    return importlib.import_module(request.param)


async def told_of_a_round(client: Any, recorded: TelemetryInMemory) -> list[tuple[Any, ...]]:
    """Send one call of each kind, and return operation, error and size of the spans.

    Check that the peer is the same for all.
    """
    assert await settle(client.set("k", "v")) is True
    _, error = await outcome_of(lambda: client.lpush("k", 1))
    assert isinstance(error, valkey.ResponseError)
    pipeline = client.pipeline()
    pipeline.get("k")
    pipeline.get("k")
    assert await settle(pipeline.execute()) == ["v", "v"]
    assert await settle(client.eval("return 1", 1, "k")) == 1
    spans = recorded.spans()
    assert {span.attributes["db.system.name"] for span in spans} == {"redis"}
    assert {span.attributes["network.peer.address"] for span in spans} == {"127.0.0.1"}
    wanted = ("db.operation.name", "error.type", "db.operation.batch.size")
    return [tuple(span.attributes.get(name) for name in wanted) for span in spans]


async def test_a_client(package: ModuleType, redis_server: Any, recorded: TelemetryInMemory) -> None:
    """Commands, a transaction, an error and a script object give one span and one measurement each."""
    client = package.Valkey.from_url(redis_server.url, decode_responses=True)
    assert await told_of_a_round(client, recorded) == [
        ("SET", None, None),
        ("LPUSH", "WRONGTYPE", None),
        ("MULTI GET", None, 2),
        ("EVAL", None, None),
    ]
    assert await settle(client.register_script("return 1")()) == 1
    assert recorded.spans()[-1].attributes["db.operation.name"] == "EVALSHA"
    assert recorded.value("db.client.operation.duration") == 5
    await close(client)
    await settle(client.connection_pool.disconnect())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_cluster(package: ModuleType, cluster_server: Any, recorded: TelemetryInMemory) -> None:
    """A cluster gives the same, with the node that answered as the server."""
    client = package.cluster.ValkeyCluster(host=cluster_server.host, port=cluster_server.port, decode_responses=True)
    assert await told_of_a_round(client, recorded) == [
        ("SET", None, None),
        ("LPUSH", "WRONGTYPE", None),
        ("PIPELINE GET", None, 2),
        ("EVAL", None, None),
    ]
    owner = cluster_server.owner_of("k").port
    assert {span.attributes["server.port"] for span in recorded.spans()} == {owner}
    assert {span.attributes["network.peer.port"] for span in recorded.spans()} == {owner}
    await close(client)
    del client
    forget_clusters()


async def test_messages_are_counted(package: ModuleType, redis_server: Any, recorded: TelemetryInMemory) -> None:
    """Subscribing is a span, and a received message is a count."""
    client = package.Valkey.from_url(redis_server.url)
    pubsub = client.pubsub()
    await settle(pubsub.subscribe("c"))
    await settle(client.publish("c", "hello"))
    kinds: list[str] = []
    while "message" not in kinds:
        message = await settle(pubsub.get_message(timeout=PATIENCE_S))
        assert message is not None, "nothing arrived"
        kinds.append(message["type"])
    assert [span.attributes["db.operation.name"] for span in recorded.spans()] == ["SUBSCRIBE", "PUBLISH"]
    assert SLOT.runtime.self_metrics.read("messages") == {"message": 1}
    await close(pubsub)
    await close(client)
    await settle(client.connection_pool.disconnect())


async def test_a_pool_is_reported(package: ModuleType, redis_server: Any, recorded: TelemetryInMemory) -> None:
    """redispan tunes and measures the pool of a valkey-py client."""
    client = package.Valkey.from_url(redis_server.url)
    await settle(client.ping())
    limits = {
        point.attributes["db.client.connection.pool.name"]: point.value
        for point in recorded.metric("db.client.connection.max")
    }
    assert limits[f"{redis_server.host}:{redis_server.port}/0"] == 50
    await close(client)
    await settle(client.connection_pool.disconnect())


async def test_an_instrumented_client_of_its_own(
    package: ModuleType, redis_server: Any, telemetry: TelemetryInMemory
) -> None:
    """One valkey-py client can be instrumented while another is not."""
    from redispan import RedispanInstrumentor

    mine, other = (package.Valkey.from_url(redis_server.url) for _ in range(2))
    RedispanInstrumentor.instrument_client(mine, **telemetry.providers)
    await settle(mine.set("k", "v"))
    await settle(other.get("k"))
    RedispanInstrumentor.uninstrument_client(mine)
    await settle(mine.get("k"))
    assert [span.attributes["db.operation.name"] for span in telemetry.spans()] == ["SET"]
    for client in (mine, other):
        await close(client)
        await settle(client.connection_pool.disconnect())
