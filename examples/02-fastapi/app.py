"""Counts visits of pages."""

import os

import redis.asyncio
from fastapi import FastAPI

app = FastAPI()
client = redis.asyncio.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"), decode_responses=True)


@app.get("/visits/{page}")
async def visit(page: str):
    visits = await client.incr(f"example:fastapi:{page}")
    title = await client.get("example:fastapi:title")
    return {"page": page, "visits": visits, "title": title}
