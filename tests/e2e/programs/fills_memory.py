"""A program that fills its Redis, and empties it when it is told to; it ends when it is told to."""

import os
import sys
import threading

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
    # It goes on as programs do, until it is told that this is enough: the alert must not come back.
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
    while not over.wait(0.1):
        client.get("anything")
