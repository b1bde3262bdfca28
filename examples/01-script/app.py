"""Counts a few things."""

import os

import redis

client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"), decode_responses=True)
client.set("example:script:started", 1, ex=60)
print("started:", client.get("example:script:started"))

with client.pipeline(transaction=False) as pipeline:
    for letter in "abc":
        pipeline.incr(f"example:script:{letter}")
    print("counted:", pipeline.execute())

with client.pipeline(transaction=True) as transaction:
    transaction.delete(*(f"example:script:{letter}" for letter in "abc"))
    transaction.set("example:script:started", 0, ex=60)
    transaction.execute()
