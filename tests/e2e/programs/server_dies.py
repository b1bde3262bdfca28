"""A program whose Redis dies in the middle; it prints every exception it sees, and the last one ends it with code 3."""

import asyncio
import sys

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from redispan.testing.embedded_server import EmbeddedServer

server = EmbeddedServer({})
server.start()


def tell(error: BaseException) -> None:
    chain = []
    link: BaseException | None = error
    while link is not None:
        text = str(link).replace(str(server.port), "PORT")
        chain.append(f"{type(link).__module__}.{type(link).__qualname__}: {text}")
        link = link.__cause__ or link.__context__
    print(" <- ".join(chain))


def work() -> None:
    client = redis.Redis.from_url(server.url, retry=Retry(NoBackoff(), 0))
    client.set("k", "v")
    server.stop()
    for call in (lambda: client.get("k"), lambda: client.pipeline().set("k", 1).execute(), lambda: client.incr("k")):
        try:
            call()
        except redis.RedisError as error:
            tell(error)
    client.delete("k")


async def work_async() -> None:
    from redis.asyncio.retry import Retry as AsyncRetry

    client = redis.asyncio.Redis.from_url(server.url, retry=AsyncRetry(NoBackoff(), 0))
    await client.set("k", "v")
    server.stop()
    for make in (lambda: client.get("k"), lambda: client.pipeline().set("k", 1).execute(), lambda: client.incr("k")):
        try:
            await make()
        except redis.RedisError as error:
            tell(error)
    await client.delete("k")


try:
    work() if sys.argv[1] == "sync" else asyncio.run(work_async())
except redis.RedisError as error:
    tell(error)
    sys.exit(3)
