"""A program that also instruments by hand; each argument is one step, ``work`` sends the commands."""

import asyncio
import os
import sys

import redis
import redis.asyncio

url = os.environ["REDIS_URL"]
client = redis.Redis.from_url(url)


def work() -> None:
    client.set("k", "v")
    client.get("k")
    with client.pipeline(transaction=False) as batch:
        batch.get("a").get("b").execute()
    asyncio.run(work_async())


async def work_async() -> None:
    other = redis.asyncio.Redis.from_url(url)
    await other.incr("n")
    await other.aclose()


def contrib() -> "object":
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    return RedisInstrumentor()


def ours() -> "object":
    from redispan import RedispanInstrumentor

    return RedispanInstrumentor()


STEPS = {
    "work": work,
    "contrib.instrument": lambda: contrib().instrument(),
    "contrib.uninstrument": lambda: contrib().uninstrument(),
    "contrib.instrument_client": lambda: contrib().instrument_client(client),
    "contrib.uninstrument_client": lambda: contrib().uninstrument_client(client),
    "contrib by force": lambda: contrib()._instrument(),
    "ours.instrument": lambda: ours().instrument(),
    "ours.uninstrument": lambda: ours().uninstrument(),
    "ours.instrument_client": lambda: ours().instrument_client(client),
}

for step in sys.argv[1:]:
    STEPS[step]()
