"""Programs behind a Sentinel lose their master: they go on with the next one, in time, and the telemetry follows."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e.launcher import PROGRAMS, TIMEOUT_S, Launcher, stop
from e2e.reading import OURS, operation_of
from servers.otlp_receiver import OtlpReceiver
from servers.redis_server import RedisServer
from servers.sentinel import SentinelServer
from waiting import wait_until

pytestmark = pytest.mark.e2e

WORKERS = 4
AFTER = 40
"""So many orders of each program must reach the new master."""
BOUND_S = 10.0
LATE_S = 2.0


@dataclass
class Order:
    """What became of one order."""

    name: str
    amount: int
    start_s: float
    took_s: float
    ending: int | str

    @property
    def was_answered(self) -> bool:
        """The program was told that it is done."""
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
    """What a server holds."""
    found = server.call("HGETALL", "orders")
    return {name: int(amount) for name, amount in zip(found[::2], found[1::2], strict=True)}


def wait_for_orders(server: RedisServer, count: int) -> None:
    """Wait until each program has ``count`` more orders there."""
    before = orders_at(server)

    def enough() -> bool:
        new = [name.partition("-")[0] for name in orders_at(server) if name not in before]
        return all(new.count(kind) >= count for kind in ("sync", "async"))

    wait_until(enough, "the orders", TIMEOUT_S)


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_programs_go_on_with_the_new_master(
    how: str, launcher: Launcher, otlp_receiver: OtlpReceiver, trio: SentinelServer
) -> None:
    """Each order ends in time and counts at most once, all are answered again, and spans and pools tell of it."""
    old, new = trio.master, trio.replica
    with selling(launcher, "sync", trio) as sync, selling(launcher, "async", trio) as asynchronous:
        wait_for_orders(old, 2 * AFTER)
        lost_s = time.time()
        getattr(old.process, how)()
        wait_for_orders(new, AFTER)
        moved_s = time.time()
        time.sleep(1)  # two exports more
        told = {kind: program.communicate("", TIMEOUT_S) for kind, program in (("sync", sync), ("async", asynchronous))}
        assert (sync.returncode, asynchronous.returncode) == (0, 0), told
    held = orders_at(new)
    for kind, (said, _) in told.items():
        orders = [Order(*one) for one in json.loads(said)]
        check_orders(orders, held, lost_s, moved_s)
        check_spans(otlp_receiver, kind, orders, old, new, lost_s)
        check_pool(otlp_receiver, kind, trio.service_name, lost_s, moved_s)


def check_orders(orders: list[Order], held: dict[str, int], lost_s: float, moved_s: float) -> None:
    """In time, at most once, none lost but what the old master had not handed on, none refused by the new one."""
    assert max(order.took_s for order in orders) < BOUND_S + LATE_S
    assert {order.name for order in orders if held.get(order.name, order.amount) != order.amount} == set()
    missing = [order for order in orders if order.was_answered and order.name not in held]
    assert [order for order in missing if order.start_s + order.took_s > lost_s] == []
    assert [order for order in orders if not order.was_answered and order.start_s > moved_s] == []


def check_spans(
    receiver: OtlpReceiver, kind: str, orders: list[Order], old: RedisServer, new: RedisServer, lost_s: float
) -> None:
    """One span for each order, with the server that it went to, and with the repetitions that it took."""
    spans = [
        span
        for span in receiver.spans(scope=OURS)
        if span.resource["service.name"] == kind and operation_of(span) == "HINCRBY"
    ]
    assert len(spans) == len(orders)
    assert sum(span.status == "ERROR" for span in spans) == sum(not order.was_answered for order in orders)
    answered = [span for span in spans if span.status != "ERROR"]
    places = {
        moment: {(span.attributes["server.address"], span.attributes["server.port"]) for span in chosen}
        for moment, chosen in (
            ("before", [span for span in answered if span.end_ns < lost_s * 1e9]),
            ("after", [span for span in answered if span.end_ns > (lost_s + 0.1) * 1e9]),
        )
    }
    assert places == {"before": {(old.host, old.port)}, "after": {(new.host, new.port)}}
    assert any(span.attributes.get("redis.client.operation.retries", 0) > 0 for span in spans)


def check_pool(receiver: OtlpReceiver, kind: str, service: str, lost_s: float, moved_s: float) -> None:
    """The pool keeps its name; its connections to the old master are told of as closed, and it has new ones."""
    points = [
        point
        for point in receiver.points(latest=False)
        if point.resource["service.name"] == kind
        and point.attributes.get("db.client.connection.pool.name") == f"{service}/0"
    ]
    counts = [point for point in points if point.metric == "db.client.connection.count"]
    by_time: dict[int, float] = {}
    for point in counts:
        by_time[point.time_ns] = by_time.get(point.time_ns, 0) + point.value
    before = [count for time_ns, count in by_time.items() if time_ns < lost_s * 1e9]
    after = [count for time_ns, count in by_time.items() if time_ns > moved_s * 1e9]
    assert 1 <= max(before) <= WORKERS
    assert 1 <= max(after) <= WORKERS
    closed = [point for point in points if point.metric == "redis.client.connection.closed"]
    reasons = {str(point.attributes["redis.client.connection.close.reason"]) for point in closed if point.value > 0}
    assert reasons & {"error", "timeout", "health_check"}
