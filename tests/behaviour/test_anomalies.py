"""The alert `anomaly`, caused by real faults: a slow server, a slow network and failures that become frequent."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

import redispan
from redispan import RedispanInstrumentor, Settings, on_alert
from redispan._host.baseline_file import BaselineFile, file_of
from redispan._host.folder import folder_of, open_folder, write_whole
from redispan._insight.baseline import WARM_UP_SLICES
from redispan._runtime.runtime import current
from redispan.testing import TelemetryInMemory
from servers.fault_proxy import FaultProxy
from servers.redis_server import RedisServer

pytestmark = pytest.mark.redis

SLICE_S = 10
IN_A_SLICE = 22
SLOW_S = 0.02
NAME = {"redis.client.alert.name": "anomaly"}


class Clock:
    """The clock that operations are measured by.

    Each operation takes half a millisecond while all is well, and its real time while there is trouble. So the noise of
    the machine is not part of the baseline.
    """

    def __init__(self) -> None:
        self.in_trouble = False
        self._shown_ns = self._read_ns = time.perf_counter_ns()

    def __call__(self) -> int:
        now_ns = time.perf_counter_ns()
        self._shown_ns += now_ns - self._read_ns if self.in_trouble else 500_000
        self._read_ns = now_ns
        return self._shown_ns


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the operations."""
    made = Clock()
    monkeypatch.setattr("redispan._client.recording.recorder.perf_counter_ns", made)
    return made


def forget_what_the_parent_saw() -> None:
    """Do what a forked child does first, except for threads and sockets, which belong to this process."""
    current().figures.renew_in_child()
    current().alerting.renew_in_child()


class Program:
    """A program whose time slices end at once: the test does not wait for the time between them."""

    def __init__(self, telemetry: TelemetryInMemory, url: str, **settings: Any) -> None:
        RedispanInstrumentor().instrument(
            settings=Settings(slow_alert_ms=0, slow_log_ms=0, **settings), **telemetry.providers
        )
        self.telemetry = telemetry
        self.client = redis.Redis.from_url(url)
        self.client.set("text", "x")
        self._passed_s = 0

    def run(self, slices: int, call: Callable[[redis.Redis, int], Any] = lambda client, _: client.get("text")) -> None:
        """Run a program's work for this many time slices."""
        for _ in range(slices):
            for number in range(IN_A_SLICE):
                call(self.client, number)
            self._passed_s += SLICE_S
            current().evaluate(time.perf_counter_ns() + self._passed_s * 1_000_000_000)

    def states(self) -> list[str]:
        """Return the states that the events carry, in order."""
        return [
            str(event.attributes["redis.client.alert.state"])
            for event in self.telemetry.events("redis.client.alert.anomaly")
        ]


@contextmanager
def slow_network(proxy: FaultProxy, server: RedisServer) -> Iterator[Callable[[redis.Redis, int], Any]]:
    """Delay every reply on the network."""
    for connection in proxy.connections:
        connection.replies.delay_s = SLOW_S
    yield lambda client, _: client.get("text")
    for connection in proxy.connections:
        connection.replies.delay_s = 0


@contextmanager
def slow_server(proxy: FaultProxy, server: RedisServer) -> Iterator[Callable[[redis.Redis, int], Any]]:
    """Pause the server for a moment, again and again."""

    def call(client: redis.Redis, number: int) -> None:
        # enough to show in a 95th percentile; the server ends a pause when it next checks, after 0.1 s
        if number % 6 == 0:
            server.call("CLIENT", "PAUSE", int(SLOW_S * 1000))
        client.get("text")

    yield call
    server.call("CLIENT", "UNPAUSE")


@pytest.mark.parametrize("trouble", [slow_network, slow_server])
def test_what_becomes_slow_fires_once_and_clears_once(
    telemetry: TelemetryInMemory,
    redis_server: RedisServer,
    fault_proxy: FaultProxy,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    trouble: Callable[..., Any],
) -> None:
    """The alert is emitted through every channel with the measured and the expected value, and clears.

    Nothing measured during the trouble enters the baseline.
    """
    caplog.set_level(logging.INFO, "redispan.alerts")
    recorded: list[redispan.Alert] = []
    unsubscribe = on_alert(recorded.append)
    program = Program(telemetry, fault_proxy.url)
    program.run(WARM_UP_SLICES + 1)
    assert program.states() == []
    before = redispan.performance_report(scope="process")
    clock.in_trouble = True
    with trouble(fault_proxy, redis_server) as call:
        program.run(5, call)
    clock.in_trouble = False
    assert program.states() == ["fired"]
    assert telemetry.value("redis.client.alert.state", NAME) == 1
    during = redispan.performance_report(scope="process")
    program.run(5)
    assert program.states() == ["fired", "cleared"]
    assert telemetry.value("redis.client.alert.state", NAME) == 0
    assert telemetry.value("redis.client.alerts", NAME) == 1
    unsubscribe()
    program.client.close()

    fired = dict(telemetry.events("redis.client.alert.anomaly")[0].attributes)
    assert fired["redis.client.alert.figure"] == "latency"
    assert fired["redis.client.alert.measured"] == fired["redis.client.alert.value"] >= 0.8 * SLOW_S
    assert fired["redis.client.alert.expected"] == pytest.approx(0.0005)
    assert fired["redis.client.alert.expected"] < fired["redis.client.alert.threshold"] < SLOW_S
    assert fired["redis.client.alert.deviation"] > 6
    assert fired["redis.client.alert.operations"] == IN_A_SLICE
    assert fired["server.port"] == fault_proxy.port
    assert "text" not in str(fired)
    assert [alert.state for alert in recorded] == ["fired", "cleared"]
    lines = [record for record in caplog.records if record.name == "redispan.alerts"]
    assert [record.levelno for record in lines] == [logging.WARNING, logging.INFO]
    assert "95th percentile of latency" in lines[0].getMessage()

    usual, odd = before.baselines[0], during.baselines[0]
    assert (usual.figure, usual.command, usual.ready, usual.firing) == ("latency", None, True, False)
    assert (odd.figure, odd.command, odd.firing) == ("latency", None, True)
    assert odd.expected == usual.expected
    assert odd.measured >= 0.8 * SLOW_S
    assert during.status != "healthy"
    assert during.alerts_firing[0]["name"] == "anomaly"


def test_failures_that_become_frequent_fire(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """A command that used to succeed and now fails a third of the time fires the alert.

    No limit for failures is set.
    """
    program = Program(telemetry, redis_url, error_rate_alert=0)
    program.run(WARM_UP_SLICES)

    def call(client: redis.Redis, number: int) -> None:
        if number % 3:
            client.get("text")
        else:
            with pytest.raises(redis.ResponseError):
                client.lpush("text", "y")

    program.run(5, call)
    program.client.close()
    (event,) = telemetry.events("redis.client.alert.anomaly")
    assert event.attributes["redis.client.alert.figure"] == "error_rate"
    assert event.attributes["redis.client.alert.measured"] == pytest.approx(1 / 3, abs=0.05)
    assert event.attributes["redis.client.alert.expected"] == 0


def test_turned_off_it_learns_nothing(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """With `anomaly_alert=0`, redispan keeps no baseline and emits no alert."""
    program = Program(telemetry, redis_url, anomaly_alert=0)
    program.run(WARM_UP_SLICES)
    program.client.close()
    assert redispan.performance_report(scope="process").baselines == ()


def test_a_forked_child_and_a_new_instrumentation_learn_anew(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """A baseline belongs to one process and to the settings it was learned under."""
    program = Program(telemetry, redis_url)
    program.run(WARM_UP_SLICES)
    program.client.close()
    assert current().snapshot()["baselines"]
    forget_what_the_parent_saw()
    assert not current().snapshot()["baselines"]
    RedispanInstrumentor().uninstrument()
    assert not current().snapshot()["baselines"]


def test_the_next_process_begins_with_what_was_learned(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """A process that replaces a worker starts with its baseline, and does not raise an alert for its own start-up."""
    program = Program(telemetry, redis_url)
    program.run(WARM_UP_SLICES + 1)
    handed_on = json.loads(json.dumps(current().alerting.learned()))
    assert {(one["command"], one["figure"]) for one in handed_on} >= {(None, "latency"), ("GET", "latency")}
    assert "text" not in json.dumps(handed_on)
    forget_what_the_parent_saw()
    current().alerting.take_over(handed_on)
    program.run(2)
    program.client.close()
    rows = {
        (row.command, row.figure): row for row in redispan.performance_report(scope="process").baselines if row.ready
    }
    assert rows[None, "latency"].slices >= WARM_UP_SLICES
    assert rows["GET", "latency"].slices >= WARM_UP_SLICES
    assert program.states() == []


@pytest.mark.parametrize("nonsense", [None, [1], [{}], [{"endpoint": "x", "command": [], "figure": {}, "history": 3}]])
def test_nonsense_handed_on_harms_nobody(
    telemetry: TelemetryInMemory, redis_url: str, nonsense: Any, tmp_path: Path
) -> None:
    """A damaged baseline file stops neither the background task that reads it nor the program."""
    program = Program(telemetry, redis_url, runtime_dir=str(tmp_path))
    folder = open_folder(folder_of(str(tmp_path), "x"))
    write_whole(file_of(folder), json.dumps({"version": 1, "learned": nonsense}).encode())
    BaselineFile(current().alerting.learned, current().alerting.take_over)(folder)
    program.run(2)
    program.client.close()
    assert current().snapshot()["baselines"]
