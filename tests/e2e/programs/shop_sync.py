"""An ordinary program: reads, writes, a pipeline, a transaction, and a command that fails."""

import json
import os

import redis

client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
rounds = 20

for number in range(rounds):
    client.set(f"order:{number}", number)
    client.get(f"order:{number}")

with client.pipeline(transaction=False) as batch:
    for number in range(5):
        batch.incr(f"sold:{number}")
    sold = batch.execute()

with client.pipeline(transaction=True) as batch:
    batch.lpush("queue", "a")
    batch.llen("queue")
    queued = batch.execute()

client.set("text", "not a list")
try:
    client.rpush("text", "x")
    failure = None
except redis.ResponseError as error:
    failure = f"{type(error).__name__}: {error}"

print(json.dumps({"sold": sold, "queued": queued, "failure": failure, "value": client.get("order:3")}))
