"""A program in trouble: one call in three fails, and its pool of two connections is always in use.

Usage: opentelemetry-instrument python troubled.py      (until it is ended)
"""

import os
import time
from threading import Thread

import redis

BUSY = "local n = 0; for i = 1, 300000 do n = n + i % 7 end; return n"


def keep_busy(client: redis.Redis) -> None:
    """Holds a connection nearly all the time, with short pauses for everybody else on the server."""
    while True:
        client.eval(BUSY, 0)


def main() -> None:
    """Fails and waits until somebody ends it."""
    url = os.environ["REDIS_URL"]
    crowded = redis.Redis.from_url(url, max_connections=2)
    for _ in range(2):
        Thread(target=keep_busy, args=(crowded,), daemon=True).start()
    client = redis.Redis.from_url(url)
    client.set("troubled", "a string")
    while True:
        client.get("troubled")
        client.get("troubled")
        try:
            client.lpush("troubled", "no list")
        except redis.ResponseError:
            time.sleep(0.02)


if __name__ == "__main__":
    main()
