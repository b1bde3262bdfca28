"""The first commands of an async cluster client."""

import asyncio
import time

import pytest
import redis.asyncio

from clients import close
from redispan import RedispanInstrumentor
from redispan.testing import TelemetryInMemory
from servers.cluster import ClusterServer
from servers.dead_ends import dead_port


def test_tasks_that_begin_together_on_a_fresh_client_all_succeed(cluster_server: ClusterServer) -> None:
    """redispan closes redis-py's own race at the start of a client.

    A timeout that redispan fills in would otherwise open it on versions that have none.
    """

    async def use(client: redis.asyncio.RedisCluster, number: int) -> bytes | None:
        await asyncio.gather(client.set(f"key{number}", number), client.get(f"key{number}"))
        return await client.get(f"key{number}")

    async def start_many() -> list[object]:
        found: list[object] = []
        for _ in range(5):
            client = redis.asyncio.RedisCluster(host=cluster_server.host, port=cluster_server.port)
            try:
                found += await asyncio.gather(*(use(client, number) for number in range(20)), return_exceptions=True)
            finally:
                await client.aclose()
        return found

    RedispanInstrumentor().instrument(insight=False)
    assert asyncio.run(start_many()) == [str(number).encode() for number in range(20)] * 5


async def test_a_cluster_that_cannot_be_reached_makes_an_operation_of_each_call(recorded: TelemetryInMemory) -> None:
    """A client that finds no node fails inside its first operation. The span and the measurement record the error."""
    with dead_port() as port:
        client = redis.asyncio.RedisCluster(host="127.0.0.1", port=port)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - versions differ
            await client.get("k")
        await close(client)
    span = recorded.span()
    assert span.name.partition(" ")[0] == "GET"
    assert span.attributes["error.type"].endswith(type(caught.value).__name__)
    assert sum(point.count for point in recorded.metric("db.client.operation.duration")) == 1


async def test_finding_the_nodes_is_a_part_of_the_first_operation(
    recorded: TelemetryInMemory, cluster_server: ClusterServer
) -> None:
    """The caller of the first command waits for the search for nodes. Its span includes that wait."""
    client = redis.asyncio.RedisCluster(host=cluster_server.host, port=cluster_server.port)
    start = client.initialize
    ended_ns: list[int] = []

    async def initialize() -> object:
        found = await start()
        ended_ns.append(time.time_ns())
        return found

    client.initialize = initialize
    await client.get("k")
    await close(client)
    span = recorded.span()
    assert span.start_time is not None
    assert span.start_time < ended_ns[0]
