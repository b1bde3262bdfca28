"""A program that fills its Redis, and empties it when it is told to."""

import os
import sys
import time

import redis

with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
    for number in range(200):
        client.get("anything")
        try:
            client.set(f"k{number}", "x" * 40_000)
        except redis.OutOfMemoryError:
            break
    print("full", flush=True)
    sys.stdin.readline()
    client.flushall()
    print("empty", flush=True)
    # It goes on as programs do: the alert must not come back.
    for _ in range(60):
        client.get("anything")
        time.sleep(0.1)
