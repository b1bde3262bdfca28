"""A small shop that talks to Redis and knows nothing of telemetry.

Usage: opentelemetry-instrument python shop.py [--seconds N] [--rate N]

It serves pretended customers: looks products up, fills baskets, checks out in a transaction, and now and then does what
goes wrong in real life, a slow script and a command on the wrong type. Run under `opentelemetry-instrument` with
redispan installed it fills every dashboard of the stack.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import redis

try:
    from opentelemetry import trace

    start_span = trace.get_tracer("shop").start_as_current_span
except ImportError:  # without OpenTelemetry it is the same shop
    start_span = nullcontext  # type: ignore[assignment,misc]

# Keeps the server busy for a while, as a careless script does. It is no blocking command: it really is slow.
SLOW_SCRIPT = "local n = 0; for i = 1, tonumber(ARGV[1]) do n = n + i % 7 end; return n"
SLOW_SCRIPT_STEPS = 12_000_000


def main() -> None:
    """Serves customers until the time is up."""
    parser = argparse.ArgumentParser(description="A small shop that talks to Redis.")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long to run (default: for ever)")
    parser.add_argument("--rate", type=float, default=20.0, help="customers per second")
    arguments = parser.parse_args()
    client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    stop_at = time.monotonic() + arguments.seconds
    served = 0
    with ThreadPoolExecutor(max_workers=8) as crew:
        while time.monotonic() < stop_at:
            crew.submit(serve_customer, client, served)
            served += 1
            time.sleep(1.0 / arguments.rate)
    print(f"served {served} customers", flush=True)


def serve_customer(client: redis.Redis, number: int) -> None:
    """Does what one visit does; a Redis error ends the visit, not the shop."""
    try:
        with start_span("visit"):
            look_around(client, number)
            check_out(client, number)
        if number % 50 == 25:
            with start_span("nightly report"):
                client.eval(SLOW_SCRIPT, 0, SLOW_SCRIPT_STEPS)
        if number % 40 == 20:
            with start_span("broken feature"):
                client.lpush(f"basket:{number}", "a list command on a hash")
    except redis.RedisError:
        pass


def look_around(client: redis.Redis, number: int) -> None:
    """Reads some products, filling the cache on a miss, and puts one into the basket."""
    for _ in range(random.randint(1, 4)):
        product = random.randint(1, 200)
        if client.get(f"product:{product}") is None:
            client.set(f"product:{product}", f"description of product {product}" * 20, ex=60)
    client.hset(f"basket:{number}", mapping={"product": random.randint(1, 200), "count": 1})


def check_out(client: redis.Redis, number: int) -> None:
    """Takes the basket to the till in one transaction."""
    with start_span("checkout"), client.pipeline(transaction=True) as order:
        order.hgetall(f"basket:{number}")
        order.incr("orders")
        order.expire(f"basket:{number}", 300)
        order.zincrby("bestsellers", 1, random.randint(1, 200))
        order.execute()


if __name__ == "__main__":
    main()
