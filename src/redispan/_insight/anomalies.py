"""The alert ``anomaly``: what an endpoint and its commands do, held against what was learned of them.

Looked at about once a second, in slices of ten seconds or more: the 95th percentile of the latency and the error rate
of each endpoint and of the commands that it is busy with, and each endpoint's throughput.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from redispan._core.operation import Endpoint
from redispan._core.records import ANOMALY, CLEARED, FIRED, Alert
from redispan._insight.baseline import ACCEPTED, ERRORS, LATENCY, THROUGHPUT, Baseline, Kind
from redispan._insight.latency import quantile
from redispan._insight.statistics import EndpointWindows
from redispan._insight.window import Entry

SLICE_S = 10.0
LONGEST_SLICE_S = 300.0
"""A slice waits so long for enough operations; then nothing is known of it."""
MINIMUM = 20
"""Operations that a slice must have."""
LOOKED_AT = 128
"""Most operations taken of one endpoint at one look: enough for a slice, and no pause for whoever is looking."""
ENDPOINTS_LOOKED_AT = 8
"""Endpoints looked at in one go, in turn: who looks is on the way back from an operation of its own."""
COMMANDS_WATCHED = 8
"""Commands of one endpoint that are watched: those that first had enough operations,"""
COMMANDS_IN_ALL = 64
"""and of all endpoints together."""
_COMMANDS_COLLECTED = 32

WITHDRAWN = "withdrawn"

_random = Random()  # noqa: S311 - a sample, no secret; of our own, because the program may have seeded the common one


Learned = Mapping[tuple[str, "str | None", str], Mapping[str, Any]]
"""What was learned, by endpoint, command and figure."""


class _Samples:
    """The operations of one slice."""

    __slots__ = ("durations_ns", "errors", "since_s")

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.durations_ns: list[int] = []
        self.errors = 0

    @property
    def count(self) -> int:
        return len(self.durations_ns) + self.errors

    def add(self, entry: Entry) -> None:
        """Take one operation in. How long a failed one took is no measure of latency."""
        if entry[3] is None:
            self.durations_ns.append(entry[1])
        else:
            self.errors += 1

    def figures(self) -> Iterator[tuple[Kind, float | None, int]]:
        """Kind, figure and operations behind it; no figure where there are too few."""
        enough = len(self.durations_ns) >= MINIMUM
        yield LATENCY, quantile(sorted(self.durations_ns), 0.95) / 1e9 if enough else None, len(self.durations_ns)
        yield ERRORS, self.errors / self.count if self.count >= MINIMUM else None, self.count


class _Subject:
    """What is learned of one endpoint, or of one command there."""

    def __init__(self, label: str, endpoint: Endpoint, command: str | None, kinds: Iterable[Kind], deviations: float):
        self.label = label
        self.endpoint = endpoint
        self.command = command
        self.baselines = {kind.name: Baseline(kind, deviations) for kind in kinds}

    def take_over(self, learned: Learned) -> None:
        """Begin with what an earlier process learned of the same."""
        for figure, baseline in self.baselines.items():
            data = learned.get((self.label, self.command, figure))
            if data is not None:
                baseline.take_over(data)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.label} {self.command}" if self.command else self.label

    def judge(self, kind: Kind, value: float | None, samples: int, now_s: float, *, may_fire: bool) -> str | None:
        """Judge the figure of one slice, None if there is none; the result is how the state changed."""
        baseline = self.baselines[kind.name]
        if value is not None:
            return baseline.observe(value, samples, now_s, may_fire=may_fire)
        was_firing = baseline.firing
        baseline.withdraw()
        return WITHDRAWN if was_firing else None

    def forget(self, kind: Kind) -> None:
        """Start to learn a figure anew."""
        if kind.name in self.baselines:
            self.baselines[kind.name].forget()

    def odd(self, kind: Kind) -> bool:
        """The last slice was unusual; what was learned says so, whether it fires yet or not."""
        baseline = self.baselines[kind.name]
        return baseline.firing or (baseline.ready and baseline.side(baseline.measured, baseline.samples) != 0)


class _Watch:
    """One endpoint: the slice in progress and its subjects."""

    def __init__(self, windows: EndpointWindows, deviations: float, now_s: float) -> None:
        self.whole = _Subject(windows.label, windows.endpoint, None, (LATENCY, ERRORS, THROUGHPUT), deviations)
        self.commands: dict[str, _Subject] = {}
        self.samples = _Samples(now_s)
        self.by_command: dict[str, _Samples] = {}
        self.count = 0
        self.seen: int | None = None

    def look(self, windows: EndpointWindows) -> None:
        """Take in what is new."""
        total, fresh = windows.answers.since(self.seen or 0)
        # What happened before the first look took nobody knows how long.
        self.count += total - self.seen if self.seen is not None else 0
        self.seen = total
        # At random: every second operation of a program that does GET, SET, GET, SET would be one command only.
        for entry in fresh if len(fresh) <= LOOKED_AT else _random.choices(fresh, k=LOOKED_AT):
            self.samples.add(entry)
            samples = self.by_command.get(entry[2])
            if samples is None:
                if len(self.by_command) >= _COMMANDS_COLLECTED:
                    continue
                samples = self.by_command[entry[2]] = _Samples(self.samples.since_s)
            samples.add(entry)

    def over(self, now_s: float) -> bool:
        """Whether the slice is over."""
        return _over(self.samples, now_s)


def _over(samples: _Samples, now_s: float) -> bool:
    age_s = now_s - samples.since_s
    return age_s >= LONGEST_SLICE_S or (age_s >= SLICE_S and samples.count >= MINIMUM)


class Anomalies:
    """The watch over all endpoints."""

    def __init__(
        self,
        emit: Callable[[Alert], None],
        *,
        deviations: float,
        throughput: bool = False,
        error_rate: float = 0.0,
    ) -> None:
        """Know nothing yet.

        Args:
            emit: Given every alert that fires or clears.
            deviations: How many of its usual deviations a figure may be off; 0 turns the alert off.
            throughput: Whether an unusual throughput fires as well.
            error_rate: Above it another alert fires, which says enough; 0 if there is none.
        """
        self._emit = emit
        self._deviations = deviations
        self._throughput = throughput
        self._error_rate = error_rate
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._lock = threading.RLock()
        self._watches: dict[str, _Watch] = {}
        self._turn = 0
        self._taken_over: Learned = {}

    def follow(self, endpoints: Sequence[EndpointWindows], now_s: float, now_unix_ns: int) -> list[Alert]:
        """Take in what is new, and judge the slices that are over."""
        if self._deviations <= 0:
            return []
        changed: list[Alert] = []
        with self._lock:
            for windows in self._in_turn(endpoints):
                watch = self._watches.get(windows.label)
                if watch is None:
                    watch = self._watches[windows.label] = _Watch(windows, self._deviations, now_s)
                    watch.whole.take_over(self._taken_over)
                watch.look(windows)
                if watch.over(now_s):
                    self._close(watch, now_s, now_unix_ns, changed)
        for alert in changed:
            self._emit(alert)
        return changed

    def _in_turn(self, endpoints: Sequence[EndpointWindows]) -> Iterator[EndpointWindows]:
        many = len(endpoints)
        for _ in range(min(many, ENDPOINTS_LOOKED_AT)):
            self._turn = (self._turn + 1) % many
            yield endpoints[self._turn]

    def _close(self, watch: _Watch, now_s: float, now_unix_ns: int, changed: list[Alert]) -> None:
        whole = watch.whole
        figures = list(watch.samples.figures())
        per_s = watch.count / max(now_s - watch.samples.since_s, 1e-9)
        if self._throughput:
            figures.append((THROUGHPUT, per_s, watch.count))
        else:
            whole.baselines[THROUGHPUT.name].learn(per_s, watch.count)
        for kind, value, samples in figures:
            state = whole.judge(kind, value, samples, now_s, may_fire=not self._was_explained(kind, value))
            if state is not None:
                changed.append(_alert(whole, kind, state, now_unix_ns))
            if state == ACCEPTED:
                for subject in watch.commands.values():
                    subject.forget(kind)
        watch.samples, watch.count = _Samples(now_s), 0
        for command in watch.commands:  # those of which nothing is heard as well
            watch.by_command.setdefault(command, _Samples(now_s))
        for command, samples_of in list(watch.by_command.items()):
            if _over(samples_of, now_s):
                del watch.by_command[command]
                self._close_command(watch, command, samples_of, now_s, now_unix_ns, changed)

    def _close_command(
        self, watch: _Watch, command: str, slice_: _Samples, now_s: float, now_unix_ns: int, changed: list[Alert]
    ) -> None:
        subject = watch.commands.get(command)
        if subject is None:
            if slice_.count < MINIMUM or not self._room(watch):
                return
            whole = watch.whole
            subject = _Subject(whole.label, whole.endpoint, command, (LATENCY, ERRORS), self._deviations)
            subject.take_over(self._taken_over)
            watch.commands[command] = subject
        for kind, value, samples in slice_.figures():
            # When all of an endpoint is slow, one alert says so: not one for every command as well.
            told = self._was_explained(kind, value) or watch.whole.odd(kind)
            state = subject.judge(kind, value, samples, now_s, may_fire=not told)
            if state is not None:
                changed.append(_alert(subject, kind, state, now_unix_ns))

    def _was_explained(self, kind: Kind, value: float | None) -> bool:
        """Whether the alert on the error rate tells it already."""
        return kind is ERRORS and value is not None and 0 < self._error_rate < value

    def _room(self, watch: _Watch) -> bool:
        in_all = sum(len(one.commands) for one in self._watches.values())
        return len(watch.commands) < COMMANDS_WATCHED and in_all < COMMANDS_IN_ALL

    def take_over(self, learned: Iterable[Mapping[str, Any]]) -> None:
        """Begin with what ``as_data`` of an earlier process gave."""
        found = {(one["endpoint"], one["command"], one["figure"]): one["history"] for one in learned}
        with self._lock:
            self._taken_over = found
            for subject in self._subjects():
                subject.take_over(found)

    def as_data(self) -> list[dict[str, Any]]:
        """What was learned well enough to be of use to another process."""
        with self._lock:
            return [
                {
                    "endpoint": subject.label,
                    "command": subject.command,
                    "figure": figure,
                    "history": baseline.as_data(),
                }
                for subject in self._subjects()
                for figure, baseline in subject.baselines.items()
                if baseline.ready
            ]

    def _subjects(self) -> list[_Subject]:
        return [one for watch in self._watches.values() for one in (watch.whole, *watch.commands.values())]

    def snapshot(self) -> list[dict[str, Any]]:
        """What was learned, as plain data."""
        with self._lock:
            return [
                {
                    "endpoint": subject.label,
                    "command": subject.command,
                    "figure": baseline.kind.name,
                    "unit": baseline.kind.unit,
                    "expected": baseline.expected,
                    "limit": baseline.limit(baseline.samples),
                    "measured": baseline.measured,
                    "samples": baseline.samples,
                    "slices": baseline.learned,
                    "ready": baseline.ready,
                    "firing": baseline.firing,
                }
                for subject in self._subjects()
                for baseline in subject.baselines.values()
                if baseline.learned
            ]


def _alert(subject: _Subject, kind: Kind, state: str, now_unix_ns: int) -> Alert:
    baseline = subject.baselines[kind.name]
    measured, expected = shown(baseline.measured, kind.unit), shown(baseline.expected, kind.unit)
    low = baseline.low_limit()
    fell = low is not None and baseline.measured < baseline.expected
    limit = low if fell and low is not None else baseline.limit(baseline.samples)
    words = {
        FIRED: f"is {measured}, usually {expected} (unusual {'below' if fell else 'above'} {shown(limit, kind.unit)})",
        CLEARED: f"is as usual again ({measured})",
        ACCEPTED: f"has been unusual for an hour: {measured} is learned as the new normal",
        WITHDRAWN: "is not known any more: too few operations",
    }
    endpoint = subject.endpoint
    return Alert(
        name=ANOMALY,
        state=FIRED if state == FIRED else CLEARED,
        message=f"{subject.name}: {kind.what} {words[state]}",
        # Each figure of a subject fires and clears by itself.
        endpoint=f"{subject.name} {kind.name}",
        value=baseline.measured,
        threshold=limit,
        unit=kind.unit,
        at_unix_ns=now_unix_ns,
        severity="warning" if state == FIRED else "info",
        address=endpoint.address,
        port=endpoint.port,
        db=endpoint.db,
        command=subject.command,
        evidence={
            "redis.client.alert.figure": kind.name,
            "redis.client.alert.measured": baseline.measured,
            "redis.client.alert.expected": baseline.expected,
            "redis.client.alert.deviation": round(baseline.deviation(), 2),
            "redis.client.alert.operations": baseline.samples,
        },
    )


def shown(value: float, unit: str) -> str:
    """A figure for people."""
    if unit == "s":
        return f"{value * 1000:.3g} ms"
    return f"{value:.2%}" if unit == "1" else f"{value:.3g} operations/s"
