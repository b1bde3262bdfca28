"""A command that is cancelled while it is written ends, although redis-py waits differently under a tuned timeout."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
import redis
import redis.asyncio

from behaviour.tuned_clients import cancel, figures
from clients import close
from redispan._client.internals import connection_pools
from servers.redis_server import RedisServer
from waiting import PATIENCE_S

pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("tuned"),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 does not tell that a task was cancelled"),
    pytest.mark.skipif(
        sys.version_info < (3, 12) and connection_pools.library_read_timeout_s("redis") is not None,
        reason="redis-py 8 loses cancellations by itself there",
    ),
]

TUNING: dict[str, Any] = {}


@pytest.mark.parametrize("what", ["command", "pipeline"])
@pytest.mark.parametrize("steps", range(10))
async def test_a_task_cancelled_in_any_step_of_a_command_ends(steps: int, what: str, redis_server: RedisServer) -> None:
    """The task ends as cancelled and no connection stays lent. The next command gets its own reply."""
    client = redis.asyncio.Redis(port=redis_server.port)
    await client.ping()

    async def poll_for_ever() -> None:
        while True:
            if what == "command":
                await client.echo("cancelled")
            else:
                await client.pipeline().echo("cancelled").echo("cancelled").execute()
            await asyncio.sleep(5)

    task = asyncio.create_task(poll_for_ever())
    for _ in range(steps):
        await asyncio.sleep(0)
    await cancel(task, PATIENCE_S / 2)
    assert figures(client.connection_pool)["used"] == 0
    assert [await client.echo(f"n{number}") for number in range(3)] == [b"n0", b"n1", b"n2"]
    await close(client)
