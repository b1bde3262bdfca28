"""Many callers of one client on a real server: threads, or tasks of one loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio

FAILED = float("inf")


def threads(port: int, count: int, calls: int, **pool: Any) -> list[float]:
    """Return the seconds of each GET, made by ``count`` threads of ``calls`` each; ``FAILED`` for one that raised."""
    client = redis.Redis(port=port, protocol=2, **pool)
    took: list[float] = []

    def work() -> None:
        mine = []
        for _ in range(calls):
            start_s = time.perf_counter()
            try:
                client.get("k")
            except redis.ConnectionError:
                mine.append(FAILED)
                continue
            mine.append(time.perf_counter() - start_s)
        took.extend(mine)

    running = [threading.Thread(target=work) for _ in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    client.close()
    return took


def tasks(port: int, count: int, calls: int, **pool: Any) -> list[float]:
    """Return the seconds of each GET, made by ``count`` tasks of ``calls`` each; ``FAILED`` for one that raised."""

    async def run() -> list[float]:
        client = redis.asyncio.Redis(port=port, protocol=2, **pool)
        took: list[float] = []

        async def work() -> None:
            for _ in range(calls):
                start_s = time.perf_counter()
                try:
                    await client.get("k")
                except redis.ConnectionError:
                    took.append(FAILED)
                    continue
                took.append(time.perf_counter() - start_s)

        await asyncio.gather(*(work() for _ in range(count)))
        await client.aclose()
        return took

    return asyncio.run(run())


DRIVES: dict[str, Callable[..., list[float]]] = {"threads": threads, "tasks": tasks}
