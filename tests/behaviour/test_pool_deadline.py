"""One deadline bounds an operation, however many addresses a name has and however many nodes a cluster has."""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from behaviour.asked_waits import AskedWaits
from behaviour.tuned_clients import PATIENT, QUICK_TO_FAIL, SINGLE, after, at_once, lines_to, make, retune
from clients import close, settle
from redispan._client.pool import block_budget
from servers.cluster import ClusterServer
from servers.dead_ends import black_hole, dead_port, silent_port
from servers.fault_proxy import FaultProxy
from waiting import wait_until, wait_until_async

pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("tuned"),
    # redis-py's async cluster drops nodes without closing them when their topology can't be read.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TUNING = QUICK_TO_FAIL
LONGEST_S = TUNING["pool_deadline_s"] + 0.2
"""The deadline plus the least time that a server gets. Without the deadline, each test asks for twice as much."""
MANY = 12
FAILURES = (redis.RedisError, redis.exceptions.RedisClusterException)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> AskedWaits:
    """Record the waits that clients ask for."""
    return AskedWaits(monkeypatch)


async def fails_in_time(asked: AskedWaits, call: Callable[[], Any]) -> None:
    """Assert that the call fails with an exception of redis-py and asks for no more time than the deadline."""
    with asked.of_one_caller() as waits_s, pytest.raises(FAILURES) as caught:
        await settle(call())
    assert type(caught.value).__module__.startswith("redis.")
    assert not hasattr(type(caught.value), "redispan_plain")
    assert 0 < sum(waits_s) < LONGEST_S, waits_s


def cluster_of(kind: str, ports: list[int], **options: Any) -> Any:
    """Return a cluster client that starts from these nodes and keeps asking them."""
    cluster, node = (
        (redis.cluster.RedisCluster, redis.cluster.ClusterNode)
        if kind == "cluster"
        else (redis.asyncio.cluster.RedisCluster, redis.asyncio.cluster.ClusterNode)
    )
    if "dynamic_startup_nodes" in inspect.signature(cluster).parameters:
        options["dynamic_startup_nodes"] = False
    return cluster(startup_nodes=[node("127.0.0.1", port) for port in ports], **options)


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("trouble", [dead_port, silent_port, black_hole])
async def test_every_operation_ends_within_the_deadline(trouble: Any, kind: str, asked: AskedWaits) -> None:
    """The port is dead, silent or black-holed.

    A caller that reads or writes gets redis-py's exception within the deadline.
    """
    with trouble() as port:
        clients = {command: make(kind, "127.0.0.1", port) for command in ("get", "incr")}

        def ask(command: str) -> Any:
            return fails_in_time(asked, lambda: getattr(clients[command], command)("k"))

        calls = {command: lambda command=command: ask(command) for command in clients}
        assert await at_once(calls, is_async="async" in kind) == {"get": None, "incr": None}
        for client in clients.values():
            await close(client)


@pytest.mark.parametrize("kind", SINGLE)
async def test_several_black_holed_addresses_count_together(
    kind: str, asked: AskedWaits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with many addresses, none of which answers, costs one deadline and not one timeout per address."""
    with black_hole() as port:
        found = socket.getaddrinfo("127.0.0.1", port, 0, socket.SOCK_STREAM)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found * MANY)
        client = make(kind, "127.0.0.1", port)
        await fails_in_time(asked, lambda: client.get("k"))
        await close(client)


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("trouble", [silent_port, black_hole])
async def test_many_that_connect_at_once_are_all_within_the_deadline(
    trouble: Any, kind: str, asked: AskedWaits
) -> None:
    """Each of many callers of one pool has its own deadline for its attempts to connect."""
    with trouble() as port:
        client = make(kind, "127.0.0.1", port)
        calls = {number: lambda: fails_in_time(asked, lambda: client.incr("k")) for number in range(20)}
        assert set((await at_once(calls, is_async="async" in kind)).values()) == {None}
        await close(client)


@pytest.mark.parametrize("kind", SINGLE)
async def test_who_connects_holds_nobody_up(kind: str, fault_proxy: FaultProxy) -> None:
    """Callers of one pool all connect at the same time. In redis-py 5 and 6, tasks wait for each other."""
    retune(**PATIENT)
    fault_proxy.default.replies.hold = True
    client = make(kind, fault_proxy.host, fault_proxy.port)

    def let_go() -> None:
        wait_until(lambda: len(fault_proxy.connections) == 20, "all to connect before anybody is answered")
        fault_proxy.default.replies.hold = False
        for connection in fault_proxy.connections:
            connection.replies.hold = False

    watcher = after(0, let_go)
    calls = {number: lambda: client.incr("k") for number in range(20)}
    answers = await at_once(calls, is_async="async" in kind)
    watcher.join()
    assert sorted(answers.values()) == list(range(1, 21))
    await close(client)


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
@pytest.mark.parametrize("trouble", [silent_port, black_hole])
async def test_a_cluster_that_never_answers_is_given_up_in_time(trouble: Any, kind: str, asked: AskedWaits) -> None:
    """Starting a cluster client from many nodes, none of which answers, ends within the deadline."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(trouble()) for _ in range(MANY)]
        await fails_in_time(asked, lambda: cluster_of(kind, ports).get("k"))


class LargeCluster:
    """A cluster whose nodes have many addresses, from which a client starts and reads the topology again."""

    def __init__(self, stack: contextlib.ExitStack, cluster: ClusterServer) -> None:
        """Start a proxy for each address."""
        self._cluster = cluster
        self._lines, self._options = stack.enter_context(lines_to(cluster))
        nodes = [cluster.masters[number % len(cluster.masters)] for number in range(MANY)]
        self._ways_in = [stack.enter_context(FaultProxy(node.host, node.port)) for node in nodes]

    async def client(self, kind: str) -> Any:
        """Return a client that reaches all nodes through the proxies and has written ``k`` = 1."""
        ports = [way_in.port for way_in in self._ways_in]

        async def look() -> Any:
            client = None
            try:
                client = cluster_of(kind, ports, address_remap=self._options["address_remap"])
                await settle(client.set("k", 1))
                return client
            except FAILURES:  # a busy machine may need another attempt
                if client is not None:
                    await close(client)
                return None

        return await wait_until_async(look, "a client that knows its nodes")

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Make all addresses silent for the duration of the block."""
        for line in (*self._lines, *self._ways_in):
            line.black_hole()
        yield
        for line in (*self._lines, *self._ways_in):
            line.heal()

    @contextlib.contextmanager
    def no_writes(self) -> Iterator[None]:
        """Leave all writes unanswered. The nodes do it, since redis-py leaves the proxies when a node answers MOVED."""
        for node in self._cluster.masters:
            node.call("CLIENT", "PAUSE", 60_000, "WRITE")
        try:
            yield
        finally:
            for node in self._cluster.masters:
                node.call("CLIENT", "UNPAUSE")


@pytest.fixture
def large_cluster(cluster_server: ClusterServer) -> Iterator[LargeCluster]:
    """Yield a cluster with many addresses."""
    with contextlib.ExitStack() as stack:
        yield LargeCluster(stack, cluster_server)


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
async def test_reading_the_topology_anew_is_within_the_deadline(
    kind: str, large_cluster: LargeCluster, asked: AskedWaits
) -> None:
    """When a large cluster falls silent, asking all its nodes for the topology does not add one timeout per node."""
    client = await large_cluster.client(kind)
    with large_cluster.silence():
        for command in ("get", "incr", "get", "incr"):
            await fails_in_time(asked, lambda command=command: getattr(client, command)("k"))
    await close(client)


async def test_threads_that_wait_for_each_others_topology_are_within_the_deadline(
    large_cluster: LargeCluster, asked: AskedWaits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster client reads the topology under a lock.

    A thread whose deadline is over when it gets the lock asks no node.
    """
    retune(**{**QUICK_TO_FAIL, "pool_deadline_s": 60.0})
    client = await large_cluster.client("cluster")
    waits_s: dict[int, list[float]] = {}
    ended: list[BaseException] = []

    def ask(number: int) -> None:
        with asked.of_one_caller() as waits_s[number]:
            try:
                client.get("k")
            except FAILURES as error:
                ended.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(MANY)]
    with large_cluster.silence():
        for thread in threads:
            thread.start()
        wait_until(lambda: len(waits_s) == MANY and all(waits_s.values()), "all to have waited in vain once")
        before = sum(map(len, waits_s.values()))
        monotonic = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 61)
        for thread in threads:
            thread.join()
    client.close()
    assert len(ended) == MANY
    # One wait of each thread may have been under way; without the deadline, each thread asks all addresses.
    assert sum(map(len, waits_s.values())) - before <= MANY


@pytest.mark.parametrize("kind", ["cluster", "async-cluster"])
async def test_a_cluster_that_answers_again_is_used_again(
    kind: str, large_cluster: LargeCluster, asked: AskedWaits
) -> None:
    """The shorter timeouts of a failing operation leave nothing behind.

    Once the nodes answer, reads have their full time.
    """
    client = await large_cluster.client(kind)

    async def get() -> Any:
        try:
            return await settle(client.get("k"))
        except FAILURES:
            return None  # a busy machine may need another attempt

    with large_cluster.silence(), pytest.raises(FAILURES):
        await settle(client.get("k"))
    assert await wait_until_async(get, "an answer") == b"1"
    assert block_budget.hasten is None
    with large_cluster.no_writes(), asked.of_one_caller() as waits_s, pytest.raises(FAILURES):
        await settle(client.incr("k"))
    assert waits_s[0] > 0.9 * TUNING["pool_socket_timeout_s"]
    await close(client)
