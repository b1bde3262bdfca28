"""The first commands of an async cluster client."""

import asyncio

import redis.asyncio

from redispan import RedispanInstrumentor
from servers.cluster import ClusterServer


def test_tasks_that_begin_together_on_a_fresh_client_all_succeed(cluster_server: ClusterServer) -> None:
    """redis-py's own race at the start, which a filled-in timeout would open on versions that have none, is closed."""

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
