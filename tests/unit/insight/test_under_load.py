"""All of insight under 200 threads and many operations: exact, and with no growth of memory."""

import gc
import math
import threading
import time
import tracemalloc

import pytest
from opentelemetry.trace import NoOpTracerProvider

from redispan._core.commands import COMMANDS
from redispan._core.operation import CommandSeries, Endpoint, Operation
from redispan._core.pool_sources import PoolStats
from redispan._core.slot import SLOT
from redispan._insight import reporting
from redispan._insight.pool_watch import POOLS_SHOWN
from redispan._runtime.runtime import current
from redispan.settings import Settings
from stress import hasty_threads, operations

THREADS = 200
EACH = operations(51_200) // THREADS // 8 * 8
SLOW_EVERY = 100
MS = 1_000_000
GROWTH_BYTES = 2_000_000
"""Less than half of what 50,000 operations would take if a hundred bytes of each were kept."""

ENDPOINTS = [Endpoint("cache", port, "0") for port in range(4)]
SERIES = [
    CommandSeries(endpoint, COMMANDS[command]) for endpoint in ENDPOINTS for command in ("GET", "SET", "HSET", "DEL")
]


@pytest.mark.timeout(max(120, EACH // 10))
def test_operations_of_200_threads(caplog: pytest.LogCaptureFixture) -> None:
    """Windows, totals, errors, slow detections, baselines and samples are exact and bounded during reads of reports."""
    caplog.set_level("CRITICAL", "redispan")  # otherwise the test's own log would grow
    settings = Settings(slow_alert_ms=50, slow_log_ms=0, error_rate_alert=0)
    observer = current().observer(settings, tracer_provider=NoOpTracerProvider(), meter=None, logger_provider=None)
    error = RuntimeError("x")

    def run(number: int, each: int) -> None:
        for at in range(each):
            operation = Operation(SERIES[(number + at) % len(SERIES)], ("k",))
            operation.start_ns = time.perf_counter_ns()
            operation.duration_ns = 60 * MS if at % SLOW_EVERY == 0 else MS + at
            if at % 8 == 0:
                operation.error, operation.remarkable = error, True
            observer.finished(operation)

    def all_threads(each: int) -> None:
        workers = [threading.Thread(target=run, args=(number, each)) for number in range(THREADS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            while worker.is_alive():
                reporting.performance(current().snapshot())
                worker.join(0.2)

    def held_bytes() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    warm_up = 40
    tracemalloc.start()
    try:
        all_threads(warm_up)
        before = held_bytes()
        with hasty_threads():
            all_threads(EACH)
        grown = held_bytes() - before
    finally:
        tracemalloc.stop()

    done = THREADS * (EACH + warm_up)
    report = reporting.performance(current().snapshot())
    assert report.totals.operations == done
    assert report.totals.errors == report.error_types["RuntimeError"] == done // 8
    assert sum(figures.totals.operations for figures in report.commands) == done
    assert {figures.command for figures in report.commands} == {"GET", "SET", "HSET", "DEL"}
    assert sum(figures.totals.operations for figures in report.endpoints) == done
    assert report.alert_counts["slow_operation"] == THREADS * (math.ceil(EACH / SLOW_EVERY) + 1)
    assert report.window.operations == 1000
    assert grown < GROWTH_BYTES, grown


def test_thousands_of_pools_are_read_now_and_then_and_the_fullest_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading pools takes at most a hundredth of the time, because an operation waits for it.

    The report shows the fullest pools.
    """
    pools = [PoolStats(f"cache:6379/{at}", used=at, limit=3000, uses=at) for at in range(3000)]
    reads: list[int] = []
    monkeypatch.setattr(SLOT.runtime.pool_sources, "_sources", [lambda: (reads.append(1), pools)[1]])
    cost_ns = 50 * MS
    passed_ns = iter(range(0, 10**12, cost_ns))
    monkeypatch.setattr("redispan._insight.pool_watch.thread_time_ns", lambda: next(passed_ns))
    current().observer(Settings(), tracer_provider=NoOpTracerProvider(), meter=None, logger_provider=None)
    for second in range(1, 12):
        current().evaluate(second * 1000 * MS)
    assert len(reads) == 3, "every five seconds"
    assert [alert.name for alert in SLOT.runtime.alerts.firing()] == ["pool_usage"] * 299
    shown = current().snapshot()["pools"]
    assert len(shown) == POOLS_SHOWN
    assert min(pool["used"] for pool in shown) == 3000 - POOLS_SHOWN
