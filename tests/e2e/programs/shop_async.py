"""An ordinary asyncio program: tasks side by side, a pipeline, and a command that fails."""

import asyncio
import json
import os

import redis.asyncio


async def buy(client: "redis.asyncio.Redis", number: int) -> str:
    await client.set(f"order:{number}", number)
    return await client.get(f"order:{number}")


async def main() -> None:
    client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    bought = await asyncio.gather(*(buy(client, number) for number in range(20)))
    async with client.pipeline(transaction=True) as batch:
        batch.lpush("queue", "a")
        batch.llen("queue")
        queued = await batch.execute()
    await client.set("text", "not a list")
    try:
        await client.rpush("text", "x")
        failure = None
    except redis.ResponseError as error:
        failure = f"{type(error).__name__}: {error}"
    await client.aclose()
    print(json.dumps({"bought": bought, "queued": queued, "failure": failure}))


asyncio.run(main())
