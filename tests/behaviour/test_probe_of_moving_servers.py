"""The probe where servers come and go: every master of a cluster, and the master that Sentinel names."""

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from behaviour.probing import Instrument, all_visited
from redispan._client.probe import targets
from redispan._client.probe.probe import Probe
from redispan._telemetry.scope import without_instrumentation
from servers.cluster import ClusterServer, start_cluster
from servers.sentinel import SentinelServer
from waiting import wait_until_async

pytestmark = [pytest.mark.redis, pytest.mark.usefixtures("no_targets_of_other_tests")]


@pytest.fixture
def replicated_cluster() -> Iterator[ClusterServer]:
    """Yield a cluster whose masters have a replica each."""
    cluster = start_cluster(replicas=1)
    yield cluster
    cluster.stop()


def test_every_master_of_a_cluster_is_read(cluster_server: ClusterServer, instrument: Instrument) -> None:
    """The probe reads each node that the program's client knows. The telemetry shows nothing of it."""
    telemetry = instrument()
    with redis.RedisCluster.from_url(cluster_server.url) as client:
        client.set("k", "v")
        readings = all_visited()
    assert {(reading.address, reading.port) for reading in readings} == {
        (node.host, node.port) for node in cluster_server.masters
    }
    assert all(reading.reachable for reading in readings)
    assert sum(int(reading.figures["keys"]) for reading in readings) == 1
    assert [span.name.split()[0] for span in telemetry.spans()] == ["SET"]


async def test_an_asyncio_cluster_is_read(cluster_server: ClusterServer, instrument: Instrument) -> None:
    """For an asyncio cluster client, the probe reads the same nodes without asyncio."""
    instrument()
    async with redis.asyncio.RedisCluster.from_url(cluster_server.url) as client:
        await client.set("k", "v")
        readings = all_visited()
    assert {reading.port for reading in readings} == {node.port for node in cluster_server.masters}
    assert sum(int(reading.figures["keys"]) for reading in readings) == 1


@pytest.mark.filterwarnings("ignore:.*read_from_replicas.*:DeprecationWarning")
def test_replicas_are_read_where_the_program_reads_from_them(
    replicated_cluster: ClusterServer, instrument: Instrument
) -> None:
    """The probe reads a replica only if the program reads from it."""
    cluster = replicated_cluster
    instrument()
    with redis.RedisCluster.from_url(cluster.url) as client:
        client.set("k", "v")
        assert len(targets.all_places()) == len(cluster.masters)
    with redis.RedisCluster.from_url(cluster.url, read_from_replicas=True) as client:
        client.get("k")
        roles = [reading.figures["role"] for reading in all_visited()]
    assert sorted(roles) == ["master"] * len(cluster.masters) + ["slave"] * len(cluster.replicas)


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_a_failover_is_followed(trio: SentinelServer, instrument: Instrument, kind: str) -> None:
    """The probe reads the master that Sentinel names.

    After a failover it reads the new one, and no longer reports the old one.
    """
    old, new = trio.master, trio.replica
    instrument()
    module: Any = redis.asyncio.sentinel if kind == "asyncio" else redis.sentinel
    sentinel = module.Sentinel(trio.sentinels)
    client = sentinel.master_for(trio.service_name)

    async def ask() -> Any:
        answer = client.set("k", "v")
        return await answer if kind == "asyncio" else answer

    probe = Probe(15, without_instrumentation)
    try:
        assert targets.all_places() == []
        await ask()
        assert [(reading.port, reading.figures["role"]) for reading in all_visited()] == [(old.port, "master")]
        probe._look_at((old.host, old.port), None)
        assert [reading.port for reading in probe.own()] == [old.port]
        trio.fail_over()
        # Sentinel does this to the old master as well, but up to ten seconds later, at its next check.
        old.call("REPLICAOF", new.host, new.port)
        old.kill_clients()

        async def moved() -> bool:
            with contextlib.suppress(redis.RedisError):
                await ask()
            return targets.all_places() == [(new.host, new.port)]

        await wait_until_async(moved, "the program to find the new master")
        assert [(reading.port, reading.figures["role"]) for reading in all_visited()] == [(new.port, "master")]
        probe._leave_all_but(targets.all_places())
        assert probe.own() == []
    finally:
        for one in (client, *sentinel.sentinels):
            await one.aclose() if kind == "asyncio" else one.close()


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_replicas_behind_sentinel_are_read_where_the_program_reads_from_them(
    sentinel_server: SentinelServer, instrument: Instrument, kind: str
) -> None:
    """The probe reads each replica that the program is connected to, and none once the program has disconnected."""
    trio = sentinel_server
    instrument()
    module: Any = redis.asyncio.sentinel if kind == "asyncio" else redis.sentinel
    sentinel = module.Sentinel(trio.sentinels)
    master, client = sentinel.master_for(trio.service_name), sentinel.slave_for(trio.service_name)
    try:
        for one in (master, client):
            answer = one.ping()
            _ = await answer if kind == "asyncio" else answer
        read = {(reading.port, reading.figures["role"]) for reading in all_visited()}
        assert read == {(trio.master.port, "master"), (trio.replica.port, "slave")}
        gone = client.connection_pool.disconnect()
        _ = await gone if kind == "asyncio" else gone
        assert [port for _, port in targets.all_places()] == [trio.master.port]
    finally:
        for one in (master, client, *sentinel.sentinels):
            await one.aclose() if kind == "asyncio" else one.close()


def test_what_moves_is_bounded_and_not_kept_alive(cluster_server: ClusterServer, instrument: Instrument) -> None:
    """Clients that come and go leave nothing behind in the probe."""
    instrument()
    for _ in range(3):
        with redis.RedisCluster.from_url(cluster_server.url) as client:
            client.set("k", "v")
        del client
        gc.collect()
    assert targets.all_places() == []

    class Cluster:
        pass

    many = [Cluster() for _ in range(3 * targets.LIMIT)]
    for one in many:
        targets.remember_moving(one)
    assert len(targets._moving) == targets.LIMIT
    assert targets.all_places() == []
