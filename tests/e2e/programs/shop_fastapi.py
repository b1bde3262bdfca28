"""A FastAPI program: each purchase is a write, a read and a pipeline of three, beside a second task."""

import asyncio
import os

import redis.asyncio
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

app = FastAPI()
client = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"])


@app.get("/buy/{number}", response_class=PlainTextResponse)
async def buy(number: int) -> str:
    await asyncio.gather(client.incr(f"sold:{number}"), client.get("stock"))
    async with client.pipeline(transaction=False) as batch:
        for field in ("a", "b", "c"):
            batch.hset(f"order:{number}", field, "1")
        await batch.execute()
    await asyncio.sleep(0.02)
    return str(os.getpid())


@app.get("/ready", response_class=PlainTextResponse)
async def ready() -> str:
    return "ready"
