"""Counts visits of pages, and shows below /monitoring/redis how Redis is doing."""

import os

import redis.asyncio
from fastapi import FastAPI

import redispan.monitoring

app = FastAPI()
app.mount("/monitoring/redis", redispan.monitoring.asgi_app())
client = redis.asyncio.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"), decode_responses=True)


@app.get("/visits/{page}")
async def visit(page: str):
    visits = await client.incr(f"example:monitoring-fastapi:{page}")
    return {"page": page, "visits": visits}
