"""The work of the watched program: the table of operations, each with a separate client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bench import in_memory

BATCH = 100
"""Commands of one pipeline."""

Run = Callable[[int], None]
"""Does that many calls."""


@dataclass(frozen=True)
class Operation:
    """One kind of call.

    Attributes:
        name: Its name in tables, which also finds it again in another process.
        make: Builds a client and what runs on it.
        commands: How many commands one call sends. Figures are for one command.
        main: Whether every state and ``--quick`` count it.
    """

    name: str
    make: Callable[[], Run]
    commands: int = 1
    main: bool = False


def _repeat(call: Callable[[], Any]) -> Run:
    def run(calls: int) -> None:
        for _ in range(calls):
            call()

    return run


def _repeat_async(make: Callable[[Any], Callable[[], Awaitable[Any]]]) -> Run:
    loop = asyncio.new_event_loop()
    call = make(in_memory.async_client())

    async def repeat(calls: int) -> None:
        for _ in range(calls):
            await call()

    return lambda calls: loop.run_until_complete(repeat(calls))


def _get() -> Run:
    client = in_memory.client()
    return _repeat(lambda: client.get("key:123"))


def _set() -> Run:
    client = in_memory.client()
    return _repeat(lambda: client.set("key:123", "value", ex=60))


def _script() -> Run:
    script = in_memory.client().register_script("return redis.call('GET', KEYS[1])")
    return _repeat(lambda: script(keys=["key:123"], args=["value"]))


def _cluster_get() -> Run:
    client = in_memory.cluster_client()
    return _repeat(lambda: client.get("key:123"))


def _queue_gets(pipeline: Any) -> Any:
    for _ in range(BATCH):
        pipeline.get("key:123")
    return pipeline.execute()


def _queue_mixed(pipeline: Any) -> Any:
    for _ in range(BATCH // 4):
        pipeline.get("key:123")
        pipeline.set("key:123", "value")
        pipeline.incr("count")
        pipeline.expire("count", 10)
    return pipeline.execute()


def _queued(queue: Callable[[Any], Any]) -> Callable[[], Run]:
    def make() -> Run:
        client = in_memory.client()
        return _repeat(lambda: queue(client.pipeline(transaction=False)))

    return make


def _async_get() -> Run:
    return _repeat_async(lambda client: lambda: client.get("key:123"))


def _async_queued() -> Run:
    return _repeat_async(lambda client: lambda: _queue_gets(client.pipeline(transaction=False)))


GET = Operation("GET", _get, main=True)
SET = Operation("SET", _set)
ASYNC_GET = Operation("asyncio GET", _async_get, main=True)
QUEUED = Operation("queued GET", _queued(_queue_gets), BATCH, main=True)
QUEUED_MIXED = Operation("queued, mixed", _queued(_queue_mixed), BATCH)
ASYNC_QUEUED = Operation("asyncio queued GET", _async_queued, BATCH)
SCRIPT = Operation("script", _script)
CLUSTER_GET = Operation("cluster GET", _cluster_get)

OPERATIONS = (GET, SET, ASYNC_GET, QUEUED, QUEUED_MIXED, ASYNC_QUEUED, SCRIPT, CLUSTER_GET)
BY_NAME = {operation.name: operation for operation in OPERATIONS}
