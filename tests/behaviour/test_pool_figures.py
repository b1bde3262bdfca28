"""The figures of a pool agree with the pool itself: after errors, after a close, and for every kind of pool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.sentinel

from behaviour.tuned_clients import figures
from clients import acquire, settle, take_connection
from redispan import pools_in_effect
from redispan._client.internals import connection_pools
from redispan._core.pool_sources import PoolEvent
from redispan._core.slot import SLOT
from servers.redis_server import RedisServer
from waiting import PATIENCE_S, wait_until_async

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("tuned")]

TUNING: dict[str, Any] = {}


def test_a_closed_pool_vanishes_and_comes_back_with_use(redis_server: RedisServer) -> None:
    """A closed pool leaves the figures at once, even while it is still referenced. It returns when it is used again."""
    client = redis.Redis(port=redis_server.port)
    client.ping()
    name = client.connection_pool.redispan_state.name
    client.connection_pool.disconnect()
    assert name not in [found["name"] for found in pools_in_effect()]
    client.ping()
    assert figures(client.connection_pool)["idle"] == 1


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_closed_pools_cost_nothing(mode: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """redispan does not look at closed, empty pools again until they are used. This keeps many closed pools cheap."""
    module = redis if mode == "sync" else redis.asyncio
    pools = [module.ConnectionPool.from_url(redis_server.url) for _ in range(30)]
    for pool in pools:
        await settle(pool.release(await take_connection(pool)))
    assert {pool.redispan_state.name for pool in pools} <= {found["name"] for found in pools_in_effect()}
    for pool in pools:
        await settle(pool.disconnect())
    pools_in_effect()
    looked_at: list[Any] = []
    look = connection_pools.lent_and_free

    def looking(pool: Any) -> Any:
        looked_at.append(pool)
        return look(pool)

    monkeypatch.setattr(connection_pools, "lent_and_free", looking)
    pools_in_effect()
    assert not set(looked_at) & set(pools)
    await settle(pools[7].release(await take_connection(pools[7])))
    assert figures(pools[7])["idle"] == 1
    assert set(looked_at) & set(pools) == {pools[7]}
    await settle(pools[7].disconnect())


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_what_a_closed_pool_has_lent_is_emitted_until_it_is_back(mode: str, redis_server: RedisServer) -> None:
    """A connection that is lent when its pool is closed counts as used until it is released.

    That holds for every reading of the figures.
    """
    module = redis if mode == "sync" else redis.asyncio
    pool = module.ConnectionPool.from_url(redis_server.url)
    connection = await take_connection(pool)
    await settle(pool.disconnect())
    for _ in range(3):
        assert figures(pool)["used"] == 1
    await settle(pool.release(connection))
    for _ in range(2):
        assert pool.redispan_state.name not in {found["name"] for found in pools_in_effect()}
    await settle(pool.disconnect())


def test_a_closed_pool_keeps_its_name_while_it_is_reported(redis_server: RedisServer) -> None:
    """redispan reports a pool that was closed with a lent connection until that is back.

    The next pool of the same server gets the name with #2.
    """
    old, new = (redis.ConnectionPool(host=redis_server.host, port=redis_server.port) for _ in range(2))
    lent = acquire(old)
    old.disconnect()
    new.release(acquire(new))
    assert old.redispan_state.name != new.redispan_state.name
    assert (figures(old)["used"], figures(new)["used"]) == (1, 0)
    old.release(lent)
    assert old.redispan_state.name not in [found["name"] for found in pools_in_effect()]


@pytest.mark.parametrize("kind", ["ConnectionPool", "BlockingConnectionPool"])
def test_figures_equal_the_pools_truth(kind: str, redis_server: RedisServer) -> None:
    """After acquiring, releasing, errors and disconnects, the figures equal the pool's own state."""
    pool = getattr(redis, kind)(host=redis_server.host, port=redis_server.port, max_connections=5)
    first, second, third = (acquire(pool) for _ in range(3))
    assert (figures(pool)["used"], figures(pool)["idle"]) == (3, 0)
    pool.release(first)
    assert (figures(pool)["used"], figures(pool)["idle"]) == (2, 1)
    second.disconnect()
    pool.release(second)
    # The connection is free, but not open.
    assert (figures(pool)["used"], figures(pool)["idle"]) == (1, 1)
    pool.release(third)
    assert (figures(pool)["used"], figures(pool)["idle"]) == (0, 2)
    found = figures(pool)
    assert (found["limit"], found["uses"], found["created"], found["reused"]) == (5, 3, 3, 0)
    assert found["closed"] == {"application": 1}


def test_pools_of_one_place_are_told_apart(redis_server: RedisServer, unix_server: RedisServer) -> None:
    """The second pool of the same server and database gets #2.

    A pool on a UNIX socket is named by the socket's path.
    """
    clients = [redis.Redis.from_url(f"redis://{redis_server.host}:{redis_server.port}/3") for _ in range(2)]
    clients.append(redis.Redis.from_url(f"unix://{unix_server.unix_path}?db=2"))
    for client in clients:
        client.ping()
    place = f"{redis_server.host}:{redis_server.port}/3"
    names = {found["name"] for found in pools_in_effect()}
    assert {place, f"{place}#2", f"{unix_server.unix_path}/2"} <= names


def test_a_sentinel_pool_is_named_by_its_service(sentinel_server: Any) -> None:
    """The name of a Sentinel pool is its service, because the master's address may change."""
    sentinel = redis.sentinel.Sentinel(sentinel_server.sentinels)
    master = sentinel.master_for(sentinel_server.service_name)
    master.ping()
    assert f"{sentinel_server.service_name}/0" in {found["name"] for found in pools_in_effect()}


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_pool_that_waits_itself_is_reported_alike(mode: str, redis_server: RedisServer) -> None:
    """A BlockingConnectionPool waits as without redispan.

    redispan counts its waits and emits an event for a wait in vain.
    """
    module = redis if mode == "sync" else redis.asyncio
    pool = module.BlockingConnectionPool.from_url(redis_server.url, max_connections=1, timeout=0.05)
    heard: list[PoolEvent] = []
    SLOT.runtime.pool_sources.listen(heard.append)
    held = await take_connection(pool)
    with pytest.raises(redis.ConnectionError, match="No connection available"):
        await take_connection(pool)
    found = figures(pool)
    assert (found["waits"], found["timeouts"], found["exhausted"]) == (1, 1, 1)
    assert [event.kind for event in heard] == ["exhausted"]
    assert found["wait_s"] == heard[0].waited_s >= 0.04
    pool.timeout = PATIENCE_S
    waiting = asyncio.ensure_future(asyncio.to_thread(acquire, pool) if mode == "sync" else acquire(pool))
    await wait_until_async(lambda: figures(pool)["pending"] == 1, "the caller who waits")
    await settle(pool.release(held))
    again = await waiting
    found = figures(pool)
    assert (found["waits"], found["timeouts"], found["exhausted"], found["pending"]) == (2, 1, 2, 0)
    assert found["wait_s"] > heard[0].waited_s
    await settle(pool.release(again))
    await settle(pool.disconnect())
    SLOT.runtime.pool_sources.forget(heard.append)
