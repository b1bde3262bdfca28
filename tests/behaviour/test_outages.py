"""Spans while a server is away: they name the server that a call was meant for, and no peer that was not reached."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio.retry
import redis.retry
from redis.backoff import NoBackoff

from clients import close, forget_clusters, outcome_of, settle
from redispan.testing import TelemetryInMemory
from servers.cluster import ClusterServer, start_cluster
from servers.redis_server import RedisServer

PEER = ("network.peer.address", "network.peer.port")


def no_retry(package: Any) -> Any:
    """Return a retry object that does not retry, for sync or asyncio."""
    return package.retry.Retry(NoBackoff(), 0)


@pytest.mark.parametrize("package", [redis, redis.asyncio], ids=["sync", "async"])
async def test_the_first_failed_call_claims_no_peer(
    package: Any, new_redis_server: Callable[..., RedisServer], recorded: TelemetryInMemory
) -> None:
    """A call that reached no server carries no address of an earlier connection, be it the first or a later one."""
    server = new_redis_server()
    client = package.Redis.from_url(server.url, retry=no_retry(package))
    for _ in range(2):
        await settle(client.get("k"))
    server.stop()
    await settle(client.connection_pool.disconnect())
    recorded.clear()
    for _ in range(3):
        _, error = await outcome_of(lambda: client.get("k"))
        assert isinstance(error, redis.ConnectionError)
    await close(client)
    assert len(recorded.spans()) == 3
    for span in recorded.spans():
        assert span.attributes["server.port"] == server.port
        assert not set(PEER) & set(span.attributes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("package", [redis, redis.asyncio], ids=["sync", "async"])
async def test_a_clusters_lost_node_is_no_peer(package: Any, recorded: TelemetryInMemory) -> None:
    """A call to a node that went away carries no peer, although its connection had one."""
    cluster = start_cluster()
    try:
        await fail_on(cluster, package, recorded)
    finally:
        cluster.stop()
        forget_clusters()
    (span,) = recorded.spans()
    assert not set(PEER) & set(span.attributes)


async def fail_on(cluster: ClusterServer, package: Any, recorded: TelemetryInMemory) -> None:
    """Make one failing call on a cluster client that had connections to all nodes, which are gone."""
    client = package.RedisCluster(host=cluster.host, port=cluster.port, retry=no_retry(package))
    await settle(client.get("k"))
    for node in cluster.nodes:
        node.stop()
    for node in client.get_nodes():
        connections = getattr(node, "_connections", None)
        for connection in connections or ():
            await connection.disconnect()
        if connections is None and node.redis_connection is not None:
            node.redis_connection.connection_pool.disconnect()
    recorded.clear()
    _, error = await outcome_of(lambda: client.get("k"))
    assert error is not None
    await close(client)
