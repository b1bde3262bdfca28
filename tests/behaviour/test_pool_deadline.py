"""One bound for an operation, however many addresses a name has and however many nodes a cluster."""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from behaviour.every_client import close, settle
from behaviour.tuned_clients import SCALED_DOWN, SINGLE, at_once, make
from redispan._client import block_budget
from servers.cluster import ClusterServer
from servers.dead_ends import black_hole, silent_port
from servers.fault_proxy import FaultProxy

pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("tuned"),
    # redis-py's async cluster drops nodes without closing them when their topology can't be read.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TUNING = SCALED_DOWN
DEADLINE_S = TUNING["pool_deadline_s"]
LATE_S = 0.8
"""What a busy machine may add; without the bound, each of these tests takes twice the deadline or more."""
MANY = 12
FAILURES = (redis.RedisError, redis.exceptions.RedisClusterException)


def cluster_of(kind: str, ports: list[int]) -> Any:
    """A cluster client that is given these nodes to start from, and keeps asking them."""
    cluster, node = (
        (redis.cluster.RedisCluster, redis.cluster.ClusterNode)
        if kind == "cluster"
        else (redis.asyncio.cluster.RedisCluster, redis.asyncio.cluster.ClusterNode)
    )
    keeps = {"dynamic_startup_nodes": False} if "dynamic_startup_nodes" in inspect.signature(cluster).parameters else {}
    return cluster(startup_nodes=[node("127.0.0.1", port) for port in ports], **keeps)


@pytest.mark.parametrize("kind", SINGLE)
async def test_several_black_holed_addresses_count_together(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with many addresses, none of which ever answers, costs one deadline and not one timeout for each."""
    with black_hole() as port:
        found = socket.getaddrinfo("127.0.0.1", port, 0, socket.SOCK_STREAM)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found * MANY)
        client = make(kind, "127.0.0.1", port)
        start_s = time.monotonic()
        with pytest.raises((redis.ConnectionError, redis.TimeoutError)):
            await settle(client.get("k"))
        assert time.monotonic() - start_s < DEADLINE_S + LATE_S
        await close(client)


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("trouble", [silent_port, black_hole])
async def test_many_that_connect_at_once_are_all_within_the_deadline(trouble: Any, kind: str) -> None:
    """Callers of one pool don't queue for each other's attempts to connect, as redis-py 5 and 6 let tasks do."""
    with trouble() as port:
        client = make(kind, "127.0.0.1", port)
        answers = await at_once({number: lambda: client.incr("k") for number in range(20)}, is_async="async" in kind)
        assert {type(answer) for answer, _ in answers.values()} <= {redis.ConnectionError, redis.TimeoutError}
        assert max(took_s for _, took_s in answers.values()) < DEADLINE_S + LATE_S
        await close(client)


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
@pytest.mark.parametrize("trouble", [silent_port, black_hole])
async def test_a_cluster_that_never_answers_is_given_up_in_time(trouble: Any, kind: str) -> None:
    """Starting a client from many nodes, none of which answers, ends within the bound."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(trouble()) for _ in range(MANY)]
        start_s = time.monotonic()
        with pytest.raises(FAILURES):
            await settle(cluster_of(kind, ports).get("k"))
        assert time.monotonic() - start_s < DEADLINE_S + LATE_S


@contextlib.contextmanager
def many_ways_into(cluster: ClusterServer) -> Iterator[list[FaultProxy]]:
    """Further addresses of a cluster's nodes, for a client to start from and to ask again."""
    with contextlib.ExitStack() as stack:
        nodes = [cluster.masters[number % len(cluster.masters)] for number in range(MANY)]
        yield [stack.enter_context(FaultProxy(node.host, node.port)) for node in nodes]


@contextlib.contextmanager
def silenced(cluster: ClusterServer, proxies: list[FaultProxy], seconds: float) -> Iterator[None]:
    """Nothing answers any more: neither the further addresses, nor, for so long, the nodes."""
    for proxy in proxies:
        proxy.black_hole()
    for node in cluster.masters:
        node.call("CLIENT", "PAUSE", int(seconds * 1000), "ALL")
    try:
        yield
    finally:
        for node in cluster.masters:
            node.call("PING")  # answered when the pause is over


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
@pytest.mark.parametrize("command", ["get", "incr"])
async def test_reading_the_topology_anew_is_within_the_deadline(
    command: str, kind: str, cluster_server: ClusterServer
) -> None:
    """A large cluster falls silent: asking all its nodes for the topology doesn't add a timeout for each."""
    with many_ways_into(cluster_server) as proxies:
        client = cluster_of(kind, [proxy.port for proxy in proxies])
        await settle(client.set("k", 1))
        with silenced(cluster_server, proxies, 3 * DEADLINE_S):
            for _ in range(2):
                start_s = time.monotonic()
                with pytest.raises(FAILURES):
                    await settle(getattr(client, command)("k"))
                assert time.monotonic() - start_s < DEADLINE_S + LATE_S
        await close(client)


async def test_threads_that_wait_for_each_others_topology_are_within_the_deadline(
    cluster_server: ClusterServer,
) -> None:
    """A cluster client reads the topology under a lock: those who queue for it don't add up."""
    with many_ways_into(cluster_server) as proxies:
        client = cluster_of("cluster", [proxy.port for proxy in proxies])
        client.set("k", 1)
        took_s: list[float] = []

        def ask() -> None:
            start_s = time.monotonic()
            with contextlib.suppress(*FAILURES):
                client.get("k")
            took_s.append(time.monotonic() - start_s)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        with silenced(cluster_server, proxies, 2 * DEADLINE_S):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        client.close()
    assert len(took_s) == 20
    assert max(took_s) < DEADLINE_S + 2 * LATE_S


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
async def test_a_cluster_that_answers_again_is_used_again(kind: str, cluster_server: ClusterServer) -> None:
    """The haste of a failing operation leaves nothing behind: once the nodes answer, reads have their full time."""
    with many_ways_into(cluster_server) as proxies:
        client = cluster_of(kind, [proxy.port for proxy in proxies])
        await settle(client.set("k", 1))
        with silenced(cluster_server, proxies, 2 * DEADLINE_S), pytest.raises(FAILURES):
            await settle(client.get("k"))
        for proxy in proxies:
            proxy.heal()
        assert await settle(client.incr("k")) == 2
        assert block_budget.hasten is None
        # A reply that takes three quarters of the read timeout is waited for.
        script = (
            "local t=redis.call('time') local e=t[1]*1000+t[2]/1000+300 "
            "repeat local n=redis.call('time') until n[1]*1000+n[2]/1000>=e return 1"
        )
        owner = cluster_server.owner_of("k")
        sleeper = threading.Thread(target=owner.call, args=("EVAL", script, 0))
        sleeper.start()
        assert await settle(client.get("k")) == b"2"
        sleeper.join()
        await close(client)
