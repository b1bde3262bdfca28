"""Ten producers and one worker on one client."""

import asyncio
import os

import redis.asyncio

QUEUE = "example:asyncio:queue"


async def produce(client: redis.asyncio.Redis, number: int) -> None:
    await client.rpush(QUEUE, number)


async def work(client: redis.asyncio.Redis, jobs: int) -> None:
    for _ in range(jobs):
        await client.blpop([QUEUE], timeout=5)
    await client.set("example:asyncio:done", jobs, ex=60)


async def main() -> None:
    url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
    async with redis.asyncio.from_url(url, decode_responses=True) as client:
        await asyncio.gather(work(client, 10), *(produce(client, number) for number in range(10)))
        print("done:", await client.get("example:asyncio:done"))


asyncio.run(main())
