"""Reports and monitored runs of a real program, against a real server and with the server gone."""

import asyncio
import json
import os
import signal
import threading
from typing import Any

import pytest
import redis
import redis.asyncio

import redispan
from insight_data import totals_only
from redispan import RedispanInstrumentor, Settings
from redispan._runtime.runtime import current
from redispan.monitoring.respond import respond
from redispan.monitoring.sources import ReportSources
from redispan.testing import TelemetryInMemory
from servers.redis_server import RedisServer
from waiting import wait_until

pytestmark = pytest.mark.redis

# Reports of this process alone: by default they include its sibling processes, among them other test runs.


def instrument(telemetry: TelemetryInMemory, **settings: Any) -> None:
    """Instrument with the given settings."""
    RedispanInstrumentor().instrument(settings=Settings(**settings), **telemetry.providers)


def test_counts_are_the_servers(telemetry: TelemetryInMemory, redis_server: RedisServer) -> None:
    """The report's counts by command match those of the server."""
    instrument(telemetry)
    with redis.Redis.from_url(redis_server.url) as client:
        for number in range(50):
            client.set(f"k{number}", number)
            client.get(f"k{number}")
            client.get("missing")
    report = redispan.performance_report("process")
    served = redis_server.commands_served()
    counted = {figures.command.lower(): figures.totals.operations for figures in report.commands}
    assert counted == {"set": 50, "get": 100}
    assert {name: served[name] for name in counted} == counted
    assert report.totals.errors == 0
    assert report.window.operations == 150
    assert report.score == 100.0 or report.reasons
    cache = redispan.cache_patterns_report("process")
    assert cache.hit_ratio == 0.5
    assert cache.read_share == pytest.approx(2 / 3)
    assert cache.commands == {"GET": 100, "SET": 50}


def test_a_window_has_the_size_that_was_set(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """The rolling window shows the last operations, 1,000 by default. The totals include all of them."""
    assert Settings().window_size == 1000
    instrument(telemetry, window_size=40)
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(200):
            client.get("k")
    report = redispan.performance_report("process")
    assert (report.window.operations, report.totals.operations) == (40, 200)
    RedispanInstrumentor().uninstrument()
    current().figures.statistics.resize(1000)


@pytest.mark.parametrize("shown", [False, True])
def test_keys_are_shown_only_where_they_may_be(telemetry: TelemetryInMemory, redis_url: str, shown: bool) -> None:
    """Patterns of keys need `query_text=keys`. Values are in no report, whatever the setting."""
    instrument(telemetry, query_text="keys" if shown else "hidden")
    with redis.Redis.from_url(redis_url) as client:
        client.set("customer:42:basket", "hunter2", ex=60)
        client.get("customer:43:basket")
    report = redispan.cache_patterns_report("process")
    assert report.patterns_shown is shown
    assert [usage.name for usage in report.patterns] == (["customer:{id}:basket"] if shown else [])
    everything = json.dumps([report.as_data(), redispan.performance_report("process").as_data(), current().snapshot()])
    assert "hunter2" not in everything
    assert ("customer" in everything) is shown


def test_pools_are_reported(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """The pool report lists the program's pool, its limit and how often connections are reused."""
    instrument(telemetry)
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(20):
            client.get("k")
        report = redispan.connection_pool_report("process")
        (pool,) = [found for found in report.pools if found.uses]
        assert pool.limit == 50
        assert pool.uses >= 20
        assert pool.reuse is not None
        assert pool.reuse > 0.9


def test_what_a_process_leaves_is_what_it_counted(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """The exit totals equal the whole summary without its windows.

    redispan writes them every second, so it makes them without the windows.
    """
    instrument(telemetry, slow_alert_ms=0.001)
    with redis.Redis.from_url(redis_url) as client, redispan.monitor("job"):
        for number in range(1200):
            client.set(f"k{number}", "v")
        with pytest.raises(redis.ResponseError):
            client.lpush("k1", "v")
        client.blpop("none", timeout=0.01)
    left, whole = current().figures.exit_totals(), totals_only(current().snapshot())
    for summary in (left, whole):
        del summary["taken_unix_ns"]
    assert left == whole
    assert sum(one["count"] for one in left["slices"].values()) == 1201
    assert left["alerts"]["counts"]["slow_operation"] > 1000


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_report(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """A child that is forked while another thread makes a report makes a report of its own operations, and ends."""
    instrument(telemetry)
    stop = threading.Event()
    with redis.Redis.from_url(redis_url) as client:
        for number in range(1000):
            client.set(f"k{number}", "v")
        makers = [
            threading.Thread(target=lambda: [redispan.performance_report("process") for _ in iter(stop.is_set, True)])
            for _ in range(2)
        ]
        for maker in makers:
            maker.start()
        try:
            for _ in range(10):
                assert counted_by_a_child(redis_url) == 7
        finally:
            stop.set()
            for maker in makers:
                maker.join()


def counted_by_a_child(redis_url: str) -> int:
    """Fork a child that makes seven operations and a report.

    Return the operations that its report counts, or -1 if the child hangs.
    """
    pid = os.fork()
    if pid == 0:
        counted = 0
        try:
            with redis.Redis.from_url(redis_url) as own:
                for _ in range(7):
                    own.incr("n")
            counted = redispan.performance_report("process").totals.operations
        finally:
            os._exit(counted)
    try:
        _, status = wait_until(lambda: ended if (ended := os.waitpid(pid, os.WNOHANG))[0] else None, "the child's end")
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return -1
    return os.waitstatus_to_exitcode(status)


def test_redis_down_is_reported(telemetry: TelemetryInMemory, new_redis_server: Any) -> None:
    """With the server gone every report still works, and the health report names the server that can't be reached."""
    server = new_redis_server()
    instrument(telemetry)
    client = redis.Redis.from_url(server.url, retry=None)
    client.get("k")
    server.stop()
    for _ in range(10):
        with pytest.raises(redis.ConnectionError):
            client.get("k")
    health = redispan.health_report("process")
    assert health.status == "unhealthy"
    assert "can't be reached" in health.reasons[0].what
    window = redispan.performance_report("process").window
    assert window.errors == 10
    assert window.under_target == pytest.approx(1 / 11), "a call that fails at once is not quick"
    for report in (redispan.performance_report, redispan.connection_pool_report, redispan.cache_patterns_report):
        json.dumps(report("process").as_data())
    codes = {"performance": 200, "connection-pool": 200, "cache-patterns": 200, "page-data": 200, "health": 503}
    for name, code in codes.items():
        answer = respond("GET", f"/{name}", "scope=process", ReportSources())
        assert (answer.status, answer.headers["Content-Type"]) == (code, "application/json"), name
        if name in ("performance", "health", "page-data"):
            assert b"can't be reached" in answer.body, name
    assert respond("GET", "/live", "", ReportSources()).status == 200
    assert respond("GET", "/", "", ReportSources()).status == 200
    client.close()


def test_reports_answer_before_anything_happened() -> None:
    """Without instrumentation and operations, every report is empty and healthy, and raises no error."""
    assert redispan.health_report("process").status == "healthy"
    assert redispan.performance_report("process").totals.operations == 0
    with pytest.raises(ValueError, match="scope"):
        redispan.health_report("galaxy")


class TestNamedWork:
    def test_a_piece_of_work(self, telemetry: TelemetryInMemory, redis_url: str) -> None:
        """A monitored run counts the operations inside it and none outside.

        The report finds an N+1 pattern and advises what to use instead.
        """
        instrument(telemetry)
        with redis.Redis.from_url(redis_url) as client:
            client.get("before")
            with redispan.monitor("checkout") as work:
                for number in range(30):
                    client.get(f"k{number}")
                client.set("k", "v")
            client.get("after")
        figures = work.figures()
        assert (figures.runs, figures.failed_runs, figures.operations_per_run) == (1, 0, 31)
        assert figures.commands == {"GET": 30, "SET": 1}
        assert figures.redis_share is not None
        assert 0 < figures.redis_share <= 1
        assert len(figures.slowest) == 10
        (finding,) = work.findings()
        assert "MGET" in finding.change
        assert "30 times" in finding.what
        report = redispan.performance_report("process")
        assert [found.name for found in report.works] == ["checkout"]
        assert "repeated_calls" in {found.name for found in report.recommendations}

    def test_nested_failing_and_decorated(self, telemetry: TelemetryInMemory, redis_url: str) -> None:
        """An operation counts for every monitored run around it. An exception passes through and is counted."""
        instrument(telemetry)
        client = redis.Redis.from_url(redis_url)

        @redispan.monitor("inner")
        def inner(value: int) -> int:
            client.get("k")
            if value < 0:
                raise ValueError("no")
            return value

        with redispan.monitor("outer") as outer:
            assert inner(7) == 7
            with pytest.raises(ValueError, match="no"):
                inner(-1)
        client.close()
        works = {found.name: found for found in redispan.performance_report("process").works}
        assert (works["inner"].runs, works["inner"].failed_runs) == (2, 1)
        assert outer.figures().operations_per_run == 2
        assert inner.__name__ == "inner"

    async def test_async_work_side_by_side(self, telemetry: TelemetryInMemory, redis_url: str) -> None:
        """Of two requests at once, each counts its own operations, with those of its tasks, and none of the other's."""
        instrument(telemetry)
        client = redis.asyncio.Redis.from_url(redis_url)

        @redispan.monitor("request")
        async def request(count: int) -> None:
            await asyncio.gather(*(client.get("k") for _ in range(count)))

        async with redispan.monitor("other") as other:
            await client.set("k", "v")
        await asyncio.gather(request(5), request(7))
        await client.aclose()
        works = {found.name: found for found in redispan.performance_report("process").works}
        assert (works["request"].runs, works["request"].totals.operations) == (2, 12)
        assert other.figures().commands == {"SET": 1}

    def test_names_are_bounded(self) -> None:
        """Beyond a hundred segment names, further ones share one: a name for each id would grow without end."""
        for number in range(150):
            with redispan.monitor(f"job {number}"):
                pass
        works = current().snapshot()["works"]
        assert len(works) == 101
        assert works["_OTHER"]["runs"] == 50
