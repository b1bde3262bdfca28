"""Metrics of pools use the conventional names, agree with the pool itself, and end when the pool is gone."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster

from clients import acquire, close
from redispan import RedispanInstrumentor, pools_in_effect
from redispan.testing import TelemetryInMemory
from servers.cluster import ClusterServer
from servers.redis_server import RedisServer
from waiting import PATIENCE_S

pytestmark = pytest.mark.redis

OWN_DATABASE = 7


def name_of(pool: Any) -> str:
    """Return the pool's name. It has a #2 or similar while an earlier test's pool of the same server still lives."""
    name: str = pool.redispan_state.name
    return name


def names_of(cluster: ClusterServer) -> set[str]:
    """Return the names of all reported pools of a cluster."""
    places = tuple(f"{node.host}:{node.port}/0" for node in cluster.masters)
    return {found["name"] for found in pools_in_effect() if found["name"].startswith(places)}


def points(telemetry: TelemetryInMemory, name: str, pool: str) -> dict[tuple[Any, ...], Any]:
    """Return the values of one pool's metric, keyed by the other attributes (state or reason)."""
    found: dict[tuple[Any, ...], Any] = {}
    data = telemetry._reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == name:
                    for point in metric.data.data_points:
                        labels = dict(point.attributes)
                        if labels.pop("db.client.connection.pool.name") == pool:
                            key = tuple(labels[label] for label in sorted(labels))
                            found[key] = point.value if hasattr(point, "value") else point.count
    return found


def test_the_conventional_metrics_of_a_pool(instrument: Callable[..., TelemetryInMemory], redis_server: RedisServer):
    """redispan emits count by state, limit, pending, timeouts and opening time under the pool's name."""
    telemetry = instrument()
    client = redis.Redis(host=redis_server.host, port=redis_server.port)
    client.ping()
    pool = client.connection_pool
    held = acquire(pool)
    client.ping()
    name = name_of(pool)
    assert name.partition("#")[0] == f"{redis_server.host}:{redis_server.port}/0"
    assert points(telemetry, "db.client.connection.count", name) == {("idle",): 1, ("used",): 1}
    assert points(telemetry, "db.client.connection.max", name) == {(): 50}
    assert points(telemetry, "db.client.connection.idle.max", name) == {(): 50}
    assert points(telemetry, "db.client.connection.idle.min", name) == {(): 0}
    assert points(telemetry, "db.client.connection.pending_requests", name) == {(): 0}
    assert points(telemetry, "db.client.connection.timeouts", name) == {(): 0}
    assert points(telemetry, "db.client.connection.create_time", name) == {(): 2}
    assert points(telemetry, "redis.client.connection.created", name) == {(): 2}
    assert points(telemetry, "redis.client.connection.reused", name) == {(): 1}
    assert points(telemetry, "db.client.connection.use_time", name) == {}
    pool.release(held)
    client.close()
    assert points(telemetry, "db.client.connection.count", name) == {}


def test_wait_and_use_time_are_a_setting(instrument: Callable[..., TelemetryInMemory], redis_server: RedisServer):
    """With pool_time_histograms every use of a connection is measured."""
    telemetry = instrument(pool_time_histograms=True)
    client = redis.Redis(host=redis_server.host, port=redis_server.port)
    for _ in range(3):
        client.ping()
    name = name_of(client.connection_pool)
    assert points(telemetry, "db.client.connection.wait_time", name) == {(): 3}
    assert points(telemetry, "db.client.connection.use_time", name) == {(): 3}


def test_pool_off_emits_nothing(instrument: Callable[..., TelemetryInMemory], redis_server: RedisServer):
    """With pool=off, redispan fills in no values and emits no pool metrics."""
    telemetry = instrument(pool="off")
    # The pool has a separate database, so that pools of other tests do not count here.
    client = redis.Redis(host=redis_server.host, port=redis_server.port, db=OWN_DATABASE)
    client.ping()
    assert (
        "health_check_interval" not in client.connection_pool.connection_kwargs
        or not (client.connection_pool.connection_kwargs["health_check_interval"])
    )
    place = f"{redis_server.host}:{redis_server.port}/{OWN_DATABASE}"
    assert points(telemetry, "db.client.connection.count", place) == {}
    assert place not in {found["name"] for found in pools_in_effect()}


def test_pools_are_held_weakly(instrument: Callable[..., TelemetryInMemory], redis_server: RedisServer):
    """A pool that is no longer referenced is collected and leaves the metrics."""
    telemetry = instrument()
    client = redis.Redis(host=redis_server.host, port=redis_server.port)
    client.ping()
    name = name_of(client.connection_pool)
    assert points(telemetry, "db.client.connection.count", name)
    client = None  # type: ignore[assignment]
    gc.collect()
    assert points(telemetry, "db.client.connection.count", name) == {}


async def test_nodes_of_an_async_cluster_are_pools(
    instrument: Callable[..., TelemetryInMemory], cluster_server: ClusterServer
):
    """Every used node has its own pool, which serves more tasks than it has connections."""
    telemetry = instrument(pool_max_connections=5, pool_wait_s=PATIENCE_S)
    before = names_of(cluster_server)
    client = redis.asyncio.RedisCluster(host=cluster_server.host, port=cluster_server.port)
    await asyncio.gather(*(client.incr("n") for _ in range(300)))
    assert await client.get("n") == b"300"
    owner = cluster_server.owner_of("n")
    (name,) = (name for name in names_of(cluster_server) - before if name.startswith(f"{owner.host}:{owner.port}/0"))
    counts = points(telemetry, "db.client.connection.count", name)
    assert 1 <= counts["idle",] <= 6
    assert counts["used",] == 0
    assert points(telemetry, "redis.client.connection.created", name) == {(): counts["idle",]}
    await close(client)
    assert points(telemetry, "db.client.connection.count", name) == {}


def test_nodes_of_a_cluster_are_one_pool_each(
    instrument: Callable[..., TelemetryInMemory], cluster_server: ClusterServer
) -> None:
    """redispan reports one pool per node, without the pool that only read the topology at the start.

    A close removes all.
    """
    instrument()
    before = names_of(cluster_server)
    client = redis.RedisCluster(host=cluster_server.host, port=cluster_server.port)
    for number in range(50):
        client.set(f"k{number}", number)
    assert len(names_of(cluster_server) - before) == 3
    client.close()
    assert names_of(cluster_server) <= before


async def test_cancelled_operations_leave_the_count_exact(
    instrument: Callable[..., TelemetryInMemory], redis_server: RedisServer
):
    """After tasks are cancelled in any phase, no connection counts as used, and idle is the number of open ones."""
    telemetry = instrument()
    client = redis.asyncio.Redis(host=redis_server.host, port=redis_server.port)
    for pause_s in (0, 0.0002, 0.001, 0.003):
        tasks = [asyncio.create_task(client.set("k", "v" * 1000)) for _ in range(60)]
        await asyncio.sleep(pause_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    pool = client.connection_pool
    counts = points(telemetry, "db.client.connection.count", name_of(pool))
    assert counts["used",] == 0 == len(pool._in_use_connections)
    assert counts["idle",] == sum(one.is_connected for one in pool._available_connections)
    await close(client)


def test_the_metrics_of_pools_survive_a_change_of_instrumentation(
    instrument: Callable[..., TelemetryInMemory], redis_server: RedisServer
) -> None:
    """After uninstrument(), redispan emits no pool metrics.

    Instrumented again with the same meter, it emits them once.
    """
    telemetry = instrument()
    client = redis.Redis(host=redis_server.host, port=redis_server.port)
    client.ping()
    name = name_of(client.connection_pool)
    assert points(telemetry, "db.client.connection.pending_requests", name) == {(): 0}
    RedispanInstrumentor().uninstrument()
    assert points(telemetry, "db.client.connection.pending_requests", name) == {}
    instrument()
    client.ping()
    assert points(telemetry, "db.client.connection.pending_requests", name_of(client.connection_pool)) == {(): 0}
    client.close()
