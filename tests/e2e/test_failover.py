"""Programs behind a Sentinel lose their master, continue in time with the next one, and their telemetry shows it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from e2e import PROGRAMS
from e2e.reading import OURS, operation_of
from servers.otlp_receiver import OtlpReceiver
from servers.otlp_records import ReceivedPoint, ReceivedSpan
from servers.redis_server import RedisServer
from servers.sentinel import SentinelServer
from waiting import PATIENCE_S, wait_until
from zero_code import Launcher, stop

pytestmark = pytest.mark.e2e

KINDS = ("sync", "async")
WORKERS = 4
AFTER = 10
"""So many orders of each worker must reach the new master."""
HANGS_S = 30.0
"""No order takes so long: a safety net. That each ends in time is shown in tests/behaviour/test_pool_sentinel.py."""


@dataclass
class Order:
    """The outcome of one order."""

    name: str
    amount: int
    start_s: float
    took_s: float
    ending: int | str

    @property
    def was_answered(self) -> bool:
        """Return whether the program received the reply to this order."""
        return isinstance(self.ending, int)


@contextlib.contextmanager
def selling(launcher: Launcher, kind: str, trio: SentinelServer) -> Iterator[subprocess.Popen[str]]:
    """Run a program that takes orders until its standard input ends."""
    process = subprocess.Popen(
        launcher.command(
            launcher.python,
            PROGRAMS / "shop_sentinel.py",
            kind,
            trio.sentinel.host,
            trio.sentinel.port,
            trio.service_name,
        ),
        env=launcher.environment({"OTEL_SERVICE_NAME": kind}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        stop(process)


def orders_at(server: RedisServer) -> dict[str, int]:
    """Return the orders that a server holds."""
    found = server.call("HGETALL", "orders")
    return {name: int(amount) for name, amount in zip(found[::2], found[1::2], strict=True)}


def wait_for_orders(server: RedisServer, count: int) -> None:
    """Wait until each worker has ``count`` more orders on the server."""
    before = orders_at(server)

    def enough() -> bool:
        new = Counter(name.rpartition("-")[0] for name in orders_at(server) if name not in before)
        return all(new[f"{kind}-{worker}"] >= count for kind in KINDS for worker in range(WORKERS))

    # Sentinel closes all connections to a server that it promotes, including the test's own connection if it is open.
    wait_until(enough, "the orders", PATIENCE_S, failing=True)


def wait_for_exports(receiver: OtlpReceiver, service: str, since_s: float) -> None:
    """Wait until each program has exported the current state of its pool."""

    def recorded() -> bool:
        return all(max(connections(receiver, kind, service), default=0) > since_s * 1e9 for kind in KINDS)

    wait_until(recorded, "the exports", PATIENCE_S)


def lose(server: RedisServer, how: str) -> None:
    """Kill or freeze the server, and return when it can no longer answer any client."""
    process = psutil.Process(server.process.pid)
    getattr(server.process, how)()
    if how == "pause":
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the server to stand still")


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_programs_go_on_with_the_new_master(
    how: str, launcher: Launcher, otlp_receiver: OtlpReceiver, trio: SentinelServer
) -> None:
    """Each order ends and counts at most once, and later orders are answered again.

    Spans and pool metrics show the failover.
    """
    old, new = trio.master, trio.replica
    with selling(launcher, "sync", trio) as sync, selling(launcher, "async", trio) as asynchronous:
        wait_for_orders(old, 2 * AFTER)
        wait_for_exports(otlp_receiver, trio.service_name, 0)
        loss_s = time.time()
        lose(old, how)
        lost_s = time.time()
        wait_for_orders(new, AFTER)
        moved_s = time.time()
        wait_for_exports(otlp_receiver, trio.service_name, moved_s)
        recorded = {
            kind: program.communicate("", PATIENCE_S) for kind, program in (("sync", sync), ("async", asynchronous))
        }
        assert (sync.returncode, asynchronous.returncode) == (0, 0), recorded
    held = orders_at(new)
    for kind, (said, _) in recorded.items():
        orders = [Order(*one) for one in json.loads(said)]
        check_orders(orders, held, lost_s, moved_s)
        check_spans(otlp_receiver, kind, orders, old, new, loss_s, lost_s)
        check_pool(otlp_receiver, kind, trio.service_name, loss_s, moved_s)


def check_orders(orders: list[Order], held: dict[str, int], lost_s: float, moved_s: float) -> None:
    """Check that no order ran twice, the new master refused none, and only orders that were not replicated are lost."""
    assert max(order.took_s for order in orders) < HANGS_S
    assert {order.name for order in orders if held.get(order.name, order.amount) != order.amount} == set()
    missing = [order for order in orders if order.was_answered and order.name not in held]
    # The old master had answered these orders, even if a busy program read the reply late.
    assert [order for order in missing if order.start_s > lost_s] == []
    assert [order for order in orders if not order.was_answered and order.start_s > moved_s] == []


def check_spans(
    receiver: OtlpReceiver,
    kind: str,
    orders: list[Order],
    old: RedisServer,
    new: RedisServer,
    loss_s: float,
    lost_s: float,
) -> None:
    """Check for one span per order, with the server that the order went to and the number of retries."""
    spans = [
        span
        for span in receiver.spans(scope=OURS)
        if span.resource["service.name"] == kind and operation_of(span) == "HINCRBY"
    ]
    assert len(spans) == len(orders)
    assert sum(span.status == "ERROR" for span in spans) == sum(not order.was_answered for order in orders)
    answered: dict[tuple[object, object], list[ReceivedSpan]] = {}
    for span in spans:
        if span.status != "ERROR":
            place = span.attributes["server.address"], span.attributes["server.port"]
            answered.setdefault(place, []).append(span)
    assert answered.keys() == {(old.host, old.port), (new.host, new.port)}
    assert max(span.start_ns for span in answered[old.host, old.port]) < lost_s * 1e9
    assert min(span.end_ns for span in answered[new.host, new.port]) > loss_s * 1e9
    assert any(span.attributes.get("redis.client.operation.retries", 0) > 0 for span in spans)


def connections(receiver: OtlpReceiver, kind: str, service: str) -> dict[int, float]:
    """Return the number of connections in a program's pool, by the time (ns) of the export."""
    by_time: dict[int, float] = {}
    for point in pool_points(receiver, kind, service):
        if point.metric == "db.client.connection.count":
            by_time[point.time_ns] = by_time.get(point.time_ns, 0) + point.value
    return by_time


def pool_points(receiver: OtlpReceiver, kind: str, service: str) -> list[ReceivedPoint]:
    """Return all data points that a program exported about its pool."""
    return [
        point
        for point in receiver.points(latest=False)
        if point.resource["service.name"] == kind
        and point.attributes.get("db.client.connection.pool.name") == f"{service}/0"
    ]


def check_pool(receiver: OtlpReceiver, kind: str, service: str, loss_s: float, moved_s: float) -> None:
    """Check that the pool keeps its name, reports its connections to the old master as closed, and has new ones."""
    by_time = connections(receiver, kind, service)
    before = [count for time_ns, count in by_time.items() if time_ns < loss_s * 1e9]
    after = [count for time_ns, count in by_time.items() if time_ns > moved_s * 1e9]
    assert 1 <= max(before) <= WORKERS
    assert 1 <= max(after) <= WORKERS
    points = pool_points(receiver, kind, service)
    closed = [point for point in points if point.metric == "redis.client.connection.closed"]
    reasons = {str(point.attributes["redis.client.connection.close.reason"]) for point in closed if point.value > 0}
    assert reasons & {"error", "timeout", "health_check"}
