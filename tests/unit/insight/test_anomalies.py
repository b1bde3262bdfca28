"""Anomalies of endpoints and commands: one alert for one cause, with all that a reader needs, in bounded room."""

from collections import Counter
from collections.abc import Iterator

import pytest

from redispan._core.operation import Endpoint
from redispan._core.records import ANOMALY, CLEARED, FIRED, Alert
from redispan._insight.anomalies import (
    COMMANDS_IN_ALL,
    COMMANDS_WATCHED,
    ENDPOINTS_LOOKED_AT,
    LONGEST_SLICE_S,
    MINIMUM,
    Anomalies,
)
from redispan._insight.baseline import IN_A_ROW, NEW_NORMAL_S, WARM_UP_SLICES
from redispan._insight.baseline_figures import baselines_of
from redispan._insight.statistics import EndpointWindows

MS = 1_000_000
SLICE_S = 10.0

Mix = dict[str, tuple[int, float, int]]
"""By command: how many operations in a slice, how long they take in ms, how many of them fail."""

USUAL: Mix = {"GET": (100, 1.0, 0), "SET": (30, 2.0, 0)}


class Program:
    """A program with one endpoint, evaluated once a second."""

    def __init__(self, label: str = "cache:6379/0", **how: object) -> None:
        self.emitted: list[Alert] = []
        self.anomalies = Anomalies(self.emitted.append, **{"deviations": 6.0, "error_rate": 0.05, **how})  # type: ignore[arg-type]
        self.windows = EndpointWindows(label, Endpoint("cache", 6379, "0"), 1000)
        self.now_s = 0.0
        self.anomalies.follow([self.windows], self.now_s, 0)

    def run(self, mix: Mix, slices: int = 1) -> list[tuple[str, str]]:
        """Let slices of operations pass, and return the subject and state of every alert emitted meanwhile."""
        before = len(self.emitted)
        for _ in range(slices):
            entries = list(operations(mix))
            for second in range(int(SLICE_S)):
                for entry in entries[second :: int(SLICE_S)]:
                    self.windows.answers.add(entry)
                self.now_s += 1
                self.anomalies.follow([self.windows], self.now_s, int(self.now_s))
        return [(alert.endpoint, alert.state) for alert in self.emitted[before:]]


def operations(mix: Mix) -> Iterator[tuple[int, int, str, str | None, int]]:
    """Yield the operations of a slice, well mixed."""
    longest = max(count for count, _, _ in mix.values())
    for number in range(longest):
        for command, (count, ms, errors) in mix.items():
            if number < count:
                yield 0, int(ms * MS), command, "OOM" if number < errors else None, 0


def warm(**how: object) -> Program:
    """Return a program that has been running as usual."""
    program = Program(**how)
    assert program.run(USUAL, WARM_UP_SLICES + 5) == []
    return program


def test_a_slow_server_is_one_alert() -> None:
    """When every command becomes slow, the endpoint's alert fires and clears. The commands get no alerts besides it."""
    program = warm()
    slow: Mix = {"GET": (100, 40.0, 0), "SET": (30, 80.0, 0)}
    assert program.run(slow, 20) == [("cache:6379/0 latency", FIRED)]
    assert program.run(USUAL, 20) == [("cache:6379/0 latency", CLEARED)]


def test_a_slow_command_is_named() -> None:
    """redispan finds a rare command that becomes slow, although it does not move the endpoint's percentile."""
    program = Program()
    usual: Mix = {"GET": (1000, 1.0, 0), "ZRANGE": (30, 2.0, 0)}
    assert program.run(usual, 40) == []
    assert program.run({**usual, "ZRANGE": (30, 60.0, 0)}, 10) == [("cache:6379/0 ZRANGE latency", FIRED)]
    alert = program.emitted[-1]
    assert (alert.name, alert.command, alert.severity, alert.unit) == (ANOMALY, "ZRANGE", "warning", "s")
    assert (alert.address, alert.port, alert.db) == ("cache", 6379, "0")
    assert alert.message == (
        "cache:6379/0 ZRANGE: the 95th percentile of latency is 60 ms, usually 2 ms (unusual above 4 ms)"
    )
    assert alert.value == pytest.approx(0.06)
    assert alert.threshold == pytest.approx(0.004)
    assert alert.evidence == {
        "redis.client.alert.figure": "latency",
        "redis.client.alert.measured": pytest.approx(0.06),
        "redis.client.alert.expected": pytest.approx(0.002),
        "redis.client.alert.deviation": 580.0,
        "redis.client.alert.operations": 30,
    }


def test_rare_failures_that_become_frequent() -> None:
    """An error rate that rises from none to 3 % is an anomaly. It is below the threshold of the error-rate alert."""
    program = Program()
    usual: Mix = {"GET": (900, 1.0, 0)}
    assert program.run(usual, 40) == []
    assert program.run({"GET": (900, 1.0, 36)}, 10) == [("cache:6379/0 error_rate", FIRED)]
    assert program.run(usual, 10) == [("cache:6379/0 error_rate", CLEARED)]


def test_what_the_error_rate_covers_is_not_emitted_twice() -> None:
    """Above 5 % only the error-rate alert fires. If that alert is turned off, the anomaly alert fires instead."""
    half: Mix = {"GET": (100, 1.0, 50), "SET": (30, 2.0, 15)}
    assert warm().run(half, 10) == []
    assert warm(error_rate=0.0).run(half, 10) == [("cache:6379/0 error_rate", FIRED)]


def test_throughput_fires_if_asked_to() -> None:
    """redispan always learns the throughput.

    It emits alerts on it only if asked to, because traffic also falls when users go home.
    """
    few: Mix = {"GET": (MINIMUM, 1.0, 0)}
    many: Mix = {"GET": (900, 1.0, 0)}
    for asked, recorded in ((False, []), (True, [("cache:6379/0 throughput", FIRED)])):
        program = Program(throughput=asked)
        assert program.run(many, 40) == []
        assert program.run(few, 5) == recorded
        (row,) = [row for row in baselines_of(program.anomalies.snapshot()) if row.figure == "throughput"]
        assert row.expected == pytest.approx(90.0)
        assert row.measured == pytest.approx(2.0)
    assert program.emitted[0].message == (
        "cache:6379/0: the throughput is 2 operations/s, usually 90 operations/s (unusual below 30 operations/s)"
    )


def test_without_operations_an_alert_is_withdrawn() -> None:
    """A firing alert clears when its operations stop. This holds for a command as well as for the endpoint."""
    program = Program()
    usual: Mix = {"GET": (1000, 1.0, 0), "ZRANGE": (30, 2.0, 0)}
    program.run(usual, 40)
    program.run({**usual, "ZRANGE": (30, 60.0, 0)}, 5)
    rest = program.run({"GET": (1000, 1.0, 0)}, int(LONGEST_SLICE_S / SLICE_S) + 2)
    assert rest == [("cache:6379/0 ZRANGE latency", CLEARED)]
    assert "too few operations" in program.emitted[-1].message
    program.run({"GET": (1000, 50.0, 0)}, 5)
    assert program.emitted[-1].state == FIRED
    program.now_s += LONGEST_SLICE_S
    assert program.run({"GET": (1, 50.0, 0)}) == [("cache:6379/0 latency", CLEARED)]


def test_a_new_normal_holds_for_commands_too() -> None:
    """Once the change of an endpoint is accepted, its commands do not raise it again one by one."""
    program = warm()
    moved: Mix = {"GET": (100, 40.0, 0), "SET": (30, 80.0, 0)}
    slices = int(NEW_NORMAL_S / SLICE_S) + IN_A_ROW + 3 * WARM_UP_SLICES
    assert program.run(moved, slices) == [("cache:6379/0 latency", FIRED), ("cache:6379/0 latency", CLEARED)]
    assert "new normal" in program.emitted[-1].message


def test_too_few_operations_are_not_judged() -> None:
    """A slice waits for twenty operations. If they do not come within five minutes, it gives no figure."""
    program = warm()
    assert program.run({"GET": (MINIMUM // 4, 500.0, 0)}, 3) == []
    assert program.run({"GET": (MINIMUM // 4, 500.0, 0)}, 9) == [("cache:6379/0 latency", FIRED)]
    program = warm()
    for _ in range(10):
        program.now_s += LONGEST_SLICE_S
        assert program.run({"GET": (MINIMUM - 1, 500.0, 0)}) == []


def test_what_failed_is_no_latency() -> None:
    """Failed operations do not count as latency.

    Refused connections fail at once and timeouts fail late, so neither measures the server's pace.
    """
    program = warm(error_rate=0.001)
    assert program.run({"GET": (100, 2000.0, 60), "SET": (30, 2.0, 0)}, 1) == []
    (latency,) = [row for row in program.anomalies.snapshot() if row["figure"] == "latency" and row["command"] == "SET"]
    assert latency["measured"] == pytest.approx(0.002)
    all_fail: Mix = {"GET": (100, 2000.0, 100), "SET": (30, 2000.0, 30)}
    assert program.run(all_fail, 10) == []


def test_off_means_nothing_is_learned() -> None:
    """A setting of zero turns off both the alert and the learning."""
    program = Program(deviations=0.0)
    assert program.run(USUAL, WARM_UP_SLICES) == []
    assert program.run({"GET": (100, 900.0, 0)}, 10) == []
    assert program.anomalies.snapshot() == []


def test_endpoints_and_commands_are_bounded() -> None:
    """Dozens of commands at dozens of endpoints get a fixed number of baselines. The first busy ones keep theirs."""
    recorded: list[Alert] = []
    anomalies = Anomalies(recorded.append, deviations=6.0)
    endpoints = [EndpointWindows(f"h:{n}/0", Endpoint("h", n, "0"), 3000) for n in range(64)]
    busy = [f"B{number}" for number in range(COMMANDS_WATCHED + 2)]
    mix = [*busy * 14, *(f"R{number}" for number in range(50))]
    turns = 64 // ENDPOINTS_LOOKED_AT
    looks = [*[endpoints[:1]] * 6, *[endpoints] * 4 * turns]
    for at, looked_at in enumerate(looks):
        if at < 6 or at % turns == 0:
            for windows in looked_at:
                for command in mix:
                    windows.answers.add((0, MS, command, None, 0))
        anomalies.follow(looked_at, at * SLICE_S, 0)
    learned = anomalies.snapshot()
    assert {one["endpoint"] for one in learned} == {windows.label for windows in endpoints}, "all have their turn"
    subjects = {(one["endpoint"], one["command"]) for one in learned}
    watched = Counter(label for label, command in subjects if command is not None)
    assert sum(watched.values()) == COMMANDS_IN_ALL
    assert max(watched.values()) == watched["h:0/0"] == COMMANDS_WATCHED
    assert {command for _, command in subjects} <= {None, *busy}
    assert all(len(watch.by_command) <= 40 for watch in anomalies._watches.values())


def test_processes_are_put_together() -> None:
    """For two workers, throughputs add up and latencies average by their operations. One firing worker is enough."""
    calm, slow = warm(), warm()
    slow.run({"GET": (100, 40.0, 0), "SET": (30, 80.0, 0)}, 4)
    rows = baselines_of([*calm.anomalies.snapshot(), *slow.anomalies.snapshot()])
    first = rows[0]
    assert (first.endpoint, first.command, first.figure, first.firing) == ("cache:6379/0", None, "latency", True)
    assert first.processes == 2
    assert first.measured == pytest.approx((0.002 + 0.08) / 2, rel=0.01)
    (throughput,) = [row for row in rows if row.figure == "throughput"]
    assert throughput.expected == pytest.approx(26.0)
    assert [row.firing for row in rows].count(True) == 1
