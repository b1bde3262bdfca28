"""Reads and writes a little, for as long as it is left alone; a server that is gone does not end it."""

from __future__ import annotations

import contextlib
import os
import time

import redis


def main() -> None:
    """Never returns."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    while True:
        with contextlib.suppress(redis.RedisError):
            client.set("steady", "1")
            client.get("steady")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
