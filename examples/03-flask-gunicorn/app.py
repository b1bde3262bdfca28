"""Shows a cart, and remembers when it was last looked at."""

import os
import time

import redis
from flask import Flask

app = Flask(__name__)
client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"), decode_responses=True)


@app.get("/cart/<int:number>")
def cart(number: int):
    with client.pipeline(transaction=False) as pipeline:
        pipeline.lrange(f"example:flask:cart:{number}", 0, -1)
        pipeline.set(f"example:flask:seen:{number}", int(time.time()), ex=60)
        items, _ = pipeline.execute()
    return {"cart": number, "items": items}
