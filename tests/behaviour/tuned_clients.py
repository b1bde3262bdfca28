"""Clients of every kind on a tuned pool, each able to block beside what the test does meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.sentinel

from behaviour.every_client import close, settle
from redispan import pools_in_effect
from servers.cluster import ClusterServer
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from servers.sentinel import SentinelServer

Key = TypeVar("Key")

SINGLE = ("sync", "sync-url", "async", "async-url")
KINDS = (*SINGLE, "cluster", "async-cluster", "sync-tls", "async-tls", "sync-sentinel", "async-sentinel")
SERVERS = {"cluster": "cluster_server", "tls": "tls_server", "sentinel": "sentinel_server"}
"""The fixture of a kind's server; all others are on ``redis_server``."""

SCALED_DOWN = {
    # 0.6, 0.4 and 2 s stand for 3, 2 and 10 s.
    "pool_connect_timeout_s": 0.6,
    "pool_socket_timeout_s": 0.4,
    "pool_deadline_s": 2.0,
    "pool_connect_retry_s": 1.2,
}
"""Settings for tests of troubles that take seconds."""


def make(kind: str, host: str, port: int) -> Any:
    """A client of a kind that has one address."""
    module = redis.asyncio if kind.startswith("async") else redis
    if kind.endswith("cluster"):
        return module.RedisCluster(host=host, port=port)
    if kind.endswith("url"):
        return module.Redis.from_url(f"redis://{host}:{port}/0")
    return module.Redis(host=host, port=port)


class TunedClient:
    """A client of one kind, and its server."""

    def __init__(self, kind: str, server: RedisServer | ClusterServer | SentinelServer | FaultProxy) -> None:
        self.kind = kind
        self.server = server
        self.is_async = kind.startswith("async")
        self.is_cluster = kind.endswith("cluster")
        self._sentinels: list[Any] = []

    def make(self, **options: Any) -> Any:
        """A client of the kind; ``run`` is what closes it."""
        module = redis.asyncio if self.is_async else redis
        if isinstance(self.server, SentinelServer):
            sentinel = module.sentinel.Sentinel(self.server.sentinels)
            self._sentinels = sentinel.sentinels
            return sentinel.master_for(self.server.service_name, **options)
        if self.is_cluster:
            return module.RedisCluster(host=self.server.host, port=self.server.port, **options)
        if self.kind.endswith(("url", "tls")):
            return module.Redis.from_url(self.server.url, **options)
        return module.Redis(host=self.server.host, port=self.server.port, **options)

    def owner(self, key: str) -> RedisServer:
        """The server that holds ``key``."""
        if isinstance(self.server, ClusterServer):
            return self.server.owner_of(key)
        if isinstance(self.server, SentinelServer):
            return self.server.master
        assert isinstance(self.server, RedisServer)
        return self.server

    async def run(self, story: Callable[[Any], Any], **options: Any) -> Any:
        """Run ``story(client)`` with a client that is closed afterwards."""
        client = self.make(**options)
        try:
            if self.is_async:
                return await story(client)
            # In a thread, so that a sync client can block beside what the test does meanwhile.
            return await asyncio.to_thread(lambda: asyncio.run(story(client)))
        finally:
            for one in (client, *self._sentinels):
                await close(one)

    async def at_once(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, tuple[Any, float]]:
        """Make all calls at the same time."""
        return await at_once(calls, is_async=self.is_async)


async def cancel(task: asyncio.Task[Any], within_s: float) -> None:
    """Cancel a task, which must end of the first cancellation."""
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=within_s)
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
    assert done, "the cancellation was swallowed"
    assert task.cancelled()


def figures(pool: Any) -> dict[str, Any]:
    """The figures told of ``pool``."""
    name = pool.redispan_state.name
    return next(found for found in pools_in_effect() if found["name"] == name)


async def at_once(calls: Mapping[Key, Callable[[], Any]], *, is_async: bool) -> dict[Key, tuple[Any, float]]:
    """Make all calls at the same time, in tasks or threads: the result or exception of each, and its seconds."""

    async def call(one: Callable[[], Any]) -> tuple[Any, float]:
        start_s = time.monotonic()
        try:
            answer = await settle(one())
        except Exception as error:
            answer = error
        return answer, time.monotonic() - start_s

    if is_async:
        answers = await asyncio.gather(*map(call, calls.values()))
    else:
        with ThreadPoolExecutor(len(calls)) as threads:
            answers = list(threads.map(lambda one: asyncio.run(call(one)), calls.values()))
    return dict(zip(calls, answers, strict=True))


def after(seconds: float, do: Callable[[], Any]) -> threading.Timer:
    """Do it later, in a thread of its own."""
    timer = threading.Timer(seconds, do)
    timer.start()
    return timer
