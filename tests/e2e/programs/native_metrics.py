"""A program that switches redis-py's own metrics on; each argument is one step, ``work`` sends two commands."""

import asyncio
import os
import sys

import redis
import redis.asyncio

url = os.environ["REDIS_URL"]
client = redis.Redis.from_url(url)  # there until the end, so that its pool is among the last metrics


def work() -> None:
    client.connection_pool.disconnect()
    client.set("k", "v")
    asyncio.run(work_async())


async def work_async() -> None:
    async with redis.asyncio.Redis.from_url(url) as other:
        await other.get("k")


def init(*names: str) -> None:
    from redis.observability.config import MetricGroup, OTelConfig
    from redis.observability.providers import get_observability_instance

    groups = [getattr(MetricGroup, name) for name in names] or list(MetricGroup)
    get_observability_instance().init(OTelConfig(metric_groups=groups))


def shutdown() -> None:
    from redis.observability.providers import get_observability_instance

    get_observability_instance().shutdown()


def ours() -> "object":
    from redispan import RedispanInstrumentor

    return RedispanInstrumentor()


STEPS = {
    "work": work,
    "init": init,
    "init.command": lambda: init("COMMAND"),
    "init.basic": lambda: init("CONNECTION_BASIC"),
    "init.resiliency": lambda: init("RESILIENCY"),
    "shutdown": shutdown,
    "instrument": lambda: ours().instrument(),
    "instrument_client": lambda: ours().instrument_client(client),
    "uninstrument": lambda: ours().uninstrument(),
}

for step in sys.argv[1:]:
    STEPS[step]()
