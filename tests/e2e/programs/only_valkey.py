"""A program of valkey-py alone, sync and asyncio; it ends with code 7."""

import asyncio
import os
import sys

import valkey
import valkey.asyncio

url = os.environ["REDIS_URL"]


async def count() -> None:
    async with valkey.asyncio.Valkey.from_url(url) as other:
        await other.incr("n")


client = valkey.Valkey.from_url(url)
client.set("k", "v")
with client.pipeline(transaction=False) as batch:
    batch.get("k").get("k").execute()
asyncio.run(count())
print("the program ran")
sys.exit(7)
