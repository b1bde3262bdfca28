"""Clients of every kind on a tuned pool. Each may block while the test does something else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from clients import close, make_client, outcome_of, place_of, settle, take_connection
from redispan import RedispanInstrumentor, pools_in_effect
from redispan._client.internals import connection_pools
from servers.cluster import ClusterServer
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer
from servers.sentinel import SentinelServer
from waiting import wait_until_async

Key = TypeVar("Key")

SINGLE = ("sync", "sync-url", "async", "async-url")
KINDS = (*SINGLE, "cluster", "async-cluster", "tls", "async-tls", "sentinel", "async-sentinel")

SCALED_DOWN = {
    # 0.6, 0.4 and 2 s are scaled down from 3, 2 and 10 s.
    "pool_connect_timeout_s": 0.6,
    "pool_socket_timeout_s": 0.4,
    "pool_deadline_s": 2.0,
    "pool_connect_retry_s": 1.2,
}
"""Settings for tests of troubles that take seconds."""

QUICK_TO_FAIL = {
    # The same in tenths, for tests in which each of these must run out: a busy machine can't make them too short.
    "pool_connect_timeout_s": 0.15,
    "pool_socket_timeout_s": 0.1,
    "pool_deadline_s": 0.5,
    "pool_connect_retry_s": 0.3,
}
"""Settings for tests of servers that never answer."""

PATIENT = {
    "pool_connect_timeout_s": 30.0,
    "pool_socket_timeout_s": 30.0,
    "pool_deadline_s": 60.0,
    "pool_connect_retry_s": 60.0,
    "pool_wait_s": 60.0,
}
"""Settings for what must succeed, however long the machine takes."""


def retune(**settings: Any) -> None:
    """Switch redispan on again, so that new clients are tuned with other settings than the module's."""
    RedispanInstrumentor().uninstrument()
    RedispanInstrumentor().instrument(metrics=False, insight=False, **settings)


@dataclass(frozen=True)
class Address:
    """An address without a test server, for ``make_client``."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Return the address as a URL."""
        return f"redis://{self.host}:{self.port}/0"


def make(kind: str, host: str, port: int, **options: Any) -> Any:
    """Return a client of a kind that has one address."""
    return make_client(kind, Address(host, port), **options)[0]


class TunedClient:
    """A client of one kind, and its server."""

    def __init__(self, kind: str, server: RedisServer | ClusterServer | SentinelServer | FaultProxy) -> None:
        self.kind = kind
        self.server = server
        self.is_async = kind.startswith("async")
        self.is_cluster = place_of(kind) == "cluster"
        self._sentinels: list[Any] = []

    def make(self, **options: Any) -> Any:
        """Return a client of the kind, which ``run`` closes."""
        client, self._sentinels = make_client(self.kind, self.server, **options)
        return client

    def owner(self, key: str) -> RedisServer:
        """Return the server that holds ``key``."""
        if isinstance(self.server, ClusterServer):
            return self.server.owner_of(key)
        if isinstance(self.server, SentinelServer):
            return self.server.master
        assert isinstance(self.server, RedisServer)
        return self.server

    async def run(self, story: Callable[[Any], Any], **options: Any) -> Any:
        """Run ``story(client)`` with a client that is closed afterwards."""
        client = self.make(**options)
        before = open_transports()
        try:
            if self.is_async:
                return await story(client)
            # In a thread, so that a sync client can block while the test does something else.
            return await asyncio.to_thread(lambda: asyncio.run(story(client)))
        finally:
            for one in (client, *self._sentinels):
                await close(one)
            if place_of(self.kind) == "tls":
                # A connection that was given up while its server was silent still has to finish its TLS shutdown.
                await wait_until_async(lambda: open_transports() <= before, "the connections to be closed")

    async def at_once(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Make all calls at the same time, and return the result or exception of each."""
        return await at_once(calls, is_async=self.is_async)

    async def open_connections(self, client: Any, count: int, key: str) -> None:
        """Open ``count`` connections of the client to the owner of ``key``, one after the other.

        Opening one costs a TLS client 40 ms of processor time, and its handshake has the short read timeout. Many that
        are opened at the same time would be too late.
        """
        if self.kind == "async-cluster":
            await client.initialize()
            node = client.get_node_from_key(key)
            opened = [node.acquire_connection() for _ in range(count)]
            for connection in opened:
                await connection.connect()
            connection_pools.node_free(node).extend(opened)
            return
        node = client.get_redis_connection(client.get_node_from_key(key)) if self.is_cluster else client
        opened = [await take_connection(node.connection_pool) for _ in range(count)]
        for connection in opened:
            await settle(node.connection_pool.release(connection))

    @contextlib.contextmanager
    def silence(self, key: str, at_most_s: float = 30) -> Iterator[None]:
        """Let the owner of ``key`` accept commands without answering.

        When it resumes, it runs the commands that it got.
        """
        server = self.owner(key)
        if self.is_cluster:
            # The other nodes would give up a frozen node. This pause holds back writes only, and can end at any time.
            server.call("CLIENT", "PAUSE", 60_000, "WRITE")
        else:
            server.process.pause()
        end = (lambda: server.call("CLIENT", "UNPAUSE")) if self.is_cluster else server.process.resume
        timer = after(at_most_s, end)
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            end()


def open_transports() -> int:
    """Return how many sockets the running loop watches."""
    return len(asyncio.get_running_loop()._selector.get_map())


async def cancel(task: asyncio.Task[Any], within_s: float) -> None:
    """Cancel a task, and check that it ends at the first cancellation."""
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=within_s)
    for _ in range(2):
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
    assert done, "the cancellation was swallowed"
    assert task.cancelled()


def figures(pool: Any) -> dict[str, Any]:
    """Return the values reported for ``pool``."""
    name = pool.redispan_state.name
    return next(found for found in pools_in_effect() if found["name"] == name)


async def at_once(calls: Mapping[Key, Callable[[], Any]], *, is_async: bool) -> dict[Key, Any]:
    """Make all calls at the same time, in tasks or threads, and return the result or exception of each."""

    async def call(one: Callable[[], Any]) -> Any:
        answer, error = await outcome_of(one)
        return answer if error is None else error

    if is_async:
        answers = await asyncio.gather(*map(call, calls.values()))
    else:
        with ThreadPoolExecutor(len(calls)) as threads:
            answers = list(threads.map(lambda one: asyncio.run(call(one)), calls.values()))
    return dict(zip(calls, answers, strict=True))


@contextlib.contextmanager
def lines_to(cluster: ClusterServer) -> Iterator[tuple[list[FaultProxy], dict[str, Any]]]:
    """Yield a proxy to each master, to cut or hold, and the options of a cluster client that uses them."""
    with contextlib.ExitStack() as stack:
        lines = {
            (node.host, node.port): stack.enter_context(FaultProxy(node.host, node.port)) for node in cluster.masters
        }
        first = lines[cluster.host, cluster.port]

        def remap(address: tuple[str, int]) -> tuple[str, int]:
            line = lines.get(address)
            return address if line is None else (line.host, line.port)

        yield list(lines.values()), {"host": first.host, "port": first.port, "address_remap": remap}


def after(seconds: float, do: Callable[[], Any]) -> threading.Timer:
    """Call ``do`` later, in a separate thread."""
    timer = threading.Timer(seconds, do)
    timer.start()
    return timer
