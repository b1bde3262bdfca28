"""What the observer counts, what it leaves out, and that no thread loses an operation."""

import asyncio
import threading
from random import Random
from typing import Any

import pytest

from redispan._core.alert_book import AlertBook
from redispan._core.commands import COMMANDS
from redispan._core.operation import CommandSeries, Endpoint, Operation
from redispan._insight.cache_patterns import CachePatterns
from redispan._insight.cache_sampling import CacheSampler
from redispan._insight.observer import InsightObserver
from redispan._insight.slow import SlowDetector
from redispan._insight.statistics import Statistics
from redispan._insight.window import COUNT, ERRORS
from redispan._insight.work import MonitoredRuns
from redispan._runtime.runtime import error_type
from stress import hasty_threads, operations

ENDPOINT = Endpoint("h", 1, "0")
MS = 1_000_000


class NoSpans:
    def alert_ns(self, operation: Operation, own_ns: int) -> int:
        return own_ns

    def judge(self, operation: Operation) -> tuple[str, str]:
        return "", ""

    def place(self, operation: Operation) -> None:
        return None


class Bench:
    """An observer with everything around it in memory."""

    def __init__(self, sampler: CacheSampler | None = None) -> None:
        self.statistics = Statistics(100)
        self.book = AlertBook(0.0, lambda: 0.0)
        self.emitted: list[Any] = []
        self.logged: list[Any] = []
        self.ticks: list[int] = []
        self.works = MonitoredRuns()
        detector = SlowDetector(
            log_ms=10,
            alert_ms=50,
            book=self.book,
            spans=NoSpans(),
            emit=self.emitted.append,
            log=lambda record, held_back: self.logged.append(record),
            log_interval_s=0.0,
        )
        self.observer = InsightObserver(
            self.statistics,
            detector,
            error_type=error_type,
            tick=self.ticks.append,
            first_span=lambda: None,
            works=self.works,
            sampler=sampler,
        )

    def finish(self, command: str = "GET", ms: float = 1.0, **figures: Any) -> Operation:
        """Let one operation end."""
        operation = Operation(CommandSeries(ENDPOINT, COMMANDS[command]), (command, "k"))
        operation.start_ns = figures.pop("start_ns", 10**15)
        operation.duration_ns = int(ms * MS)
        for name, value in figures.items():
            setattr(operation, name, value)
        operation.remarkable = bool(figures)
        self.observer.finished(operation)
        return operation

    def totals(self, kind: str = "answers") -> dict[str, list[int]]:
        """Return the totals by command."""
        found = self.statistics.snapshot()
        return found["h:1/0"][kind]["totals"] if found else {}


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (RuntimeError("x"), 1),
        (asyncio.CancelledError(), 0),
        (KeyboardInterrupt(), 0),
        (type("WatchError", (Exception,), {"__module__": "redis.exceptions"})(), 0),
    ],
)
def test_what_counts_as_an_error(error: BaseException, counted: int) -> None:
    """A failure counts as an error. A call that its caller cancelled or a lost optimistic lock does not."""
    bench = Bench()
    bench.finish(error=error)
    bench.finish(healed_error=error)
    assert bench.totals()["GET"][:2] == [2, 2 * counted]


def test_cache_hits_are_no_operations() -> None:
    """A hit in the client-side cache is in no figure, because it took no time of Redis."""
    bench = Bench()
    bench.finish(cache_hit=True)
    assert bench.totals() == {}


def test_blocking_commands_are_kept_apart() -> None:
    """A BLPOP is never a slow operation, however long it waits, and has its own window."""
    bench = Bench()
    bench.finish("BLPOP", 60_000.0, blocking=True)
    assert (bench.emitted, bench.logged) == ([], [])
    assert bench.totals() == {}
    assert bench.totals("blocking")["BLPOP"][COUNT] == 1


@pytest.mark.parametrize(
    ("ms", "logged", "recorded"), [(9.99, 0, 0), (10, 1, 0), (49.99, 1, 0), (50, 0, 1), (5000, 0, 1)]
)
def test_thresholds(ms: float, logged: int, recorded: int) -> None:
    """redispan logs an operation from 10 ms on and alerts from 50 ms on. It never does both for one operation."""
    bench = Bench()
    operation = bench.finish(ms=ms)
    assert (len(bench.logged), len(bench.emitted)) == (logged, recorded)
    assert operation.slow is bool(recorded)


def test_where_the_time_went_adds_up() -> None:
    """The parts in an alert's message are the measured ones. The rest is server and network."""
    bench = Bench()
    bench.finish(ms=100.0, pool_wait_ns=60 * MS, connect_ns=10 * MS, backoff_ns=5 * MS, retries=2)
    (alert,) = bench.emitted
    assert alert.message.endswith(
        "(60.0 ms waiting for a connection of the pool, 10.0 ms connecting, 5.0 ms pausing between retries, "
        "25.0 ms server and network)"
    )
    assert alert.evidence["redis.client.operation.pool_wait.time"] == 0.06
    assert alert.evidence["redis.client.operation.retries"] == 2


def test_ticks_are_a_second_apart() -> None:
    """The slow path runs about once a second, however many operations there are."""
    bench = Bench()
    for at in range(5000):
        bench.finish(start_ns=10**15 + at * MS)
    assert 5 <= len(bench.ticks) <= 6


def test_a_floor_follows_the_lowest_threshold() -> None:
    """A processor with a lower threshold makes the observer look at shorter operations. A 0 means no threshold."""
    bench = Bench()
    assert bench.observer.floor_ns == 10 * MS
    bench.observer.lower_floor(0, 5 * MS)
    assert bench.observer.floor_ns == 5 * MS


def test_no_thread_loses_an_operation() -> None:
    """The observer counts every operation and error of 50 threads once, with sampling and all else on."""
    bench = Bench(CacheSampler(CachePatterns(patterns=True), Random(1)))
    threads = 50
    each = operations(20_000) // threads // 8 * 8

    def run() -> None:
        for at in range(each):
            if at % 8:
                bench.finish("GET")
            else:
                bench.finish("SET", error=RuntimeError())

    workers = [threading.Thread(target=run) for _ in range(threads)]
    with hasty_threads():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    totals = bench.totals()
    assert totals["GET"][COUNT] == threads * each * 7 // 8
    assert totals["SET"][COUNT] == totals["SET"][ERRORS] == threads * each // 8
