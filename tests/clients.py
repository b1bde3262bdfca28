"""Clients of every kind, made in one place for all tests, so that each test covers sync and async clients.

A test is a coroutine and passes what a client returns through ``settle``, which awaits it where the client is async.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import warnings
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.sentinel

KINDS = (
    "sync",
    "async",
    "cluster",
    "async-cluster",
    "sentinel",
    "async-sentinel",
    "unix",
    "async-unix",
    "tls",
    "async-tls",
)
STANDALONE = ("sync", "async")
CLUSTERS = ("cluster", "async-cluster")
SYNC_AND_ASYNC = (*STANDALONE, *CLUSTERS)

REDIS_VERSION = tuple(int(part) for part in redis.__version__.split(".")[:2])

_FIXTURES = {"cluster": "cluster_server", "sentinel": "sentinel_server", "unix": "unix_server", "tls": "tls_server"}


def place_of(kind: str) -> str:
    """Return the kind of server that a client of this kind uses.

    ``plain`` and ``url`` are both a server on a port, reached in two ways.
    """
    return "plain" if kind in STANDALONE else kind.removeprefix("async-").removeprefix("sync-")


def fixture_of(kind: str) -> str:
    """Return the name of the fixture that starts the server of this kind."""
    return _FIXTURES.get(place_of(kind), "redis_server")


def make_client(kind: str, server: Any, **options: Any) -> tuple[Any, list[Any]]:
    """Make a client of this kind.

    Args:
        kind: Such as ``async-cluster``; see ``KINDS``.
        server: What has a host and a port, a URL, or the names of a Sentinel: what the kind is made from.
        options: The client's own arguments; they win.

    Returns:
        The client, and the clients of its Sentinels, which are to be closed as well.
    """
    package, place = (redis.asyncio if kind.startswith("async") else redis), place_of(kind)
    if place == "cluster":
        return package.RedisCluster(**{"host": server.host, "port": server.port, **options}), []
    if place == "sentinel":
        sentinel = package.sentinel.Sentinel(server.sentinels)
        return sentinel.master_for(server.service_name, **options), list(sentinel.sentinels)
    if place == "plain":
        return package.Redis(**{"host": server.host, "port": server.port, **options}), []
    return package.Redis.from_url(server.url, **options), []


async def settle(value: Any) -> Any:
    """Return the result of a call, whether the client is sync or async."""
    return await value if inspect.isawaitable(value) else value


async def drain(iterator: Any) -> list[Any]:
    """Return everything that an iterator or async iterator yields."""
    if hasattr(iterator, "__aiter__"):
        return [item async for item in iterator]
    return list(iterator)


def acquire(pool: Any) -> Any:
    """Return a connection of a sync pool, or an awaitable of one, in the way of the installed redis-py."""
    return pool.get_connection() if REDIS_VERSION >= (5, 3) else pool.get_connection("_")


async def take_connection(pool: Any) -> Any:
    """Return a connection of a sync or async pool."""
    return await settle(acquire(pool))


async def close(thing: Any) -> None:
    """Close a client, pipeline or subscription of any version."""
    closer = getattr(thing, "aclose", None) or thing.close
    await settle(closer())


async def outcome_of(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Return the result and the exception of a call."""
    try:
        return await settle(call()), None
    except Exception as error:
        return None, error


def forget_clusters() -> None:
    """Collect what redis-py's cluster clients leave open, also without redispan.

    It must not be collected while another test runs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@dataclass
class World:
    """One kind of client, the server that it uses, and the address of that server on its spans."""

    kind: str
    server: Any
    _made: list[Any] = field(default_factory=list)
    _pipelines: list[Any] = field(default_factory=list)

    @property
    def is_async(self) -> bool:
        """Whether calls have to be awaited."""
        return self.kind.startswith("async")

    @property
    def place(self) -> str:
        """The kind of its server."""
        return place_of(self.kind)

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over nodes."""
        return self.place == "cluster"

    @property
    def package(self) -> Any:
        """``redis`` or ``redis.asyncio``."""
        return redis.asyncio if self.is_async else redis

    def client(self, **options: Any) -> Any:
        """Make a client that is closed when the test ends."""
        options.setdefault("decode_responses", True)
        made, sentinels = make_client(self.kind, self.server, **options)
        self._made += [*sentinels, made]
        return made

    def pipeline(self, client: Any, *, transaction: bool = False) -> Any:
        """Make a pipeline that is reset when the test ends. Old cluster clients have no transactional pipeline."""
        if self.is_cluster:
            made = client.pipeline(transaction=True) if transaction else client.pipeline()
        else:
            made = client.pipeline(transaction=transaction)
        self._pipelines.append(made)
        return made

    @property
    def address_of(self) -> Callable[[str], tuple[str, int | None]]:
        """The server address and port that a span of a command on this key must carry."""

        def address(key: str) -> tuple[str, int | None]:
            if self.place == "cluster":
                return self.server.host, self.server.owner_of(key).port
            if self.place == "sentinel":
                return self.server.master.host, self.server.master.port
            if self.place == "unix":
                return self.server.unix_path, None
            return ("localhost" if self.place == "tls" else self.server.host), self.server.port

        return address

    def target(self, key: str) -> str:
        """Return what follows the operation in a span's name."""
        address, port = self.address_of(key)
        return "" if port is None else f" {address}:{port}"

    async def close(self) -> None:
        """Close every client that was made."""
        for pipeline in self._pipelines:
            with contextlib.suppress(Exception):
                await settle(pipeline.reset())
        for made in self._made:
            with contextlib.suppress(Exception):
                await close(made)
            pool = getattr(made, "connection_pool", None)
            if pool is not None:
                with contextlib.suppress(Exception):
                    await settle(pool.disconnect())
        self._made.clear()
        self._pipelines.clear()


async def open_world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Yield the fixture ``world`` and close its clients."""
    kind: str = request.param
    world = World(kind, request.getfixturevalue(fixture_of(kind)))
    yield world
    await world.close()


def of_kinds(*kinds: str) -> Any:
    """Parametrise a test's ``world``."""
    return pytest.mark.parametrize("world", kinds, indirect=True)


every_kind = of_kinds(*KINDS)
sync_and_async = of_kinds(*STANDALONE)
with_clusters = of_kinds(*SYNC_AND_ASYNC)
clusters = of_kinds(*CLUSTERS)
