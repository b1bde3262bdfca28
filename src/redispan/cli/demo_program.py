"""A small, ordinary program: a shop that keeps its data in Redis. It has no line about telemetry.

``redispan demo`` starts it under ``opentelemetry-instrument``. You can start it yourself in the same way, with your
URL: ``opentelemetry-instrument python -m redispan.cli.demo_program redis://localhost:6379/0``. It touches only keys
below ``redispan-demo:``, and removes them at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable

import redis
import redis.asyncio
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

PRODUCTS = ("tea", "cup", "pot")
PREFIX = "redispan-demo:"
# 25 million turns take about a tenth of a second. On a busy machine they took more than five seconds, after which the
# server answers BUSY. So the script also ends after 150 ms, on servers whose TIME advances while a script runs.
SLOW_REPORT = """
local function now() local time = redis.call('TIME') return time[1] * 1000000 + time[2] end
local start = now()
for turn = 1, 250 do
  for step = 1, 100000 do end
  if now() - start > 150000 then break end
end
return redis.call('LLEN', KEYS[1])
"""


log = logging.getLogger("shop")


def open_the_shop(shop: redis.Redis) -> None:
    """Write a few values one by one."""
    for price, product in enumerate(PRODUCTS, start=3):
        shop.hset(f"redispan-demo:product:{product}", mapping={"name": product, "price": price})
    shop.set("redispan-demo:greeting", "welcome", ex=60)


def serve_a_visitor(shop: redis.Redis) -> None:
    """Read some values, and increment a counter."""
    shop.get("redispan-demo:greeting")
    shop.hgetall("redispan-demo:product:tea")
    shop.incr("redispan-demo:visits")


def fill_the_stock(shop: redis.Redis) -> None:
    """Send many commands in one round trip."""
    pipeline = shop.pipeline(transaction=False)
    for product in PRODUCTS * 10:
        pipeline.incrby(f"redispan-demo:stock:{product}", 5)
    pipeline.execute()


def sell_a_cup(shop: redis.Redis) -> None:
    """Change two keys in a transaction."""
    with shop.pipeline() as transaction:
        transaction.watch("redispan-demo:stock:cup")
        transaction.multi()
        transaction.decr("redispan-demo:stock:cup")
        transaction.rpush("redispan-demo:orders", "cup")
        transaction.execute()


def tell_the_warehouse(shop: redis.Redis) -> None:
    """Publish a message and receive it."""
    with shop.pubsub() as warehouse:
        warehouse.subscribe("redispan-demo:sold")
        warehouse.get_message(timeout=1)
        shop.publish("redispan-demo:sold", "cup")
        warehouse.get_message(timeout=1)


def count_the_orders(shop: redis.Redis) -> None:
    """Run a script that keeps the server busy for a while."""
    shop.register_script(SLOW_REPORT)(keys=["redispan-demo:orders"])


def confuse_two_keys(shop: redis.Redis) -> None:
    """Treat a string as a list, which Redis refuses."""
    with contextlib.suppress(redis.ResponseError):
        shop.lpush("redispan-demo:greeting", "hello")


def lose_the_connection(shop: redis.Redis) -> None:
    """Use a connection after the server has closed it; the client retries by itself."""
    with shop.client() as on_one_connection:
        on_one_connection.client_kill_filter(_id=on_one_connection.client_id(), skipme=False)
        on_one_connection.get("redispan-demo:greeting")


async def serve_many_visitors(url: str) -> None:
    """Send commands concurrently, while a task waits for work from a queue as a worker does."""
    async with redis.asyncio.from_url(url) as shop:
        worker = asyncio.create_task(_wait_for_work(shop))
        await asyncio.gather(*(shop.hget(f"redispan-demo:product:{product}", "price") for product in PRODUCTS))
        async with shop.pipeline() as transaction:
            transaction.set("redispan-demo:last", "pot")
            transaction.expire("redispan-demo:last", 60)
            await transaction.execute()
        await shop.rpush("redispan-demo:queue", "wrap")
        await worker


async def _wait_for_work(shop: redis.asyncio.Redis) -> None:
    await shop.blpop(["redispan-demo:queue"], timeout=2)


def close_the_shop(shop: redis.Redis) -> None:
    """Read the products page by page with HSCAN, and delete all keys."""
    products = [f"{PREFIX}product:{product}" for product in PRODUCTS]
    for product in products:
        dict(shop.hscan_iter(product))
    stock = [f"{PREFIX}stock:{product}" for product in PRODUCTS]
    shop.delete(*products, *stock, *(PREFIX + name for name in ("greeting", "visits", "orders", "last", "queue")))


STEPS: tuple[Callable[[redis.Redis], None], ...] = (
    open_the_shop,
    serve_a_visitor,
    fill_the_stock,
    sell_a_cup,
    tell_the_warehouse,
    count_the_orders,
    confuse_two_keys,
    lose_the_connection,
)


def main(url: str) -> None:
    """Log the name of each step and run it once.

    Args:
        url: The URL of the Redis to use.
    """
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(created).6f %(name)s: %(message)s")
    retry = Retry(ExponentialBackoff(base=0.01, cap=0.1), 3)
    shop = redis.Redis.from_url(url, retry=retry, retry_on_error=[redis.ConnectionError])
    for step in STEPS:
        log.info(step.__name__.replace("_", " "))
        step(shop)
    log.info("serve many visitors (asyncio)")
    asyncio.run(serve_many_visitors(url))
    log.info("close the shop")
    close_the_shop(shop)
    shop.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "redis://localhost:6379/0")
