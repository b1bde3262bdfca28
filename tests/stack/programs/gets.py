"""Sends one GET, waits for a line, and sends as many as asked for; what it reads and writes is all that it knows."""

from __future__ import annotations

import os
import sys

import redis


def main() -> None:
    """Says how far it is."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.get("key")
    print("first", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[1])):
        client.get("key")
    print("done", flush=True)


if __name__ == "__main__":
    main()
