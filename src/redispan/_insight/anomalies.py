"""The alert ``anomaly``: it compares what an endpoint and its commands do now with their learned baselines.

About once a second redispan takes in new operations, and it groups them into slices of ten seconds or more. The figures
are the 95th percentile of the latency and the error rate, for each endpoint and for its busy commands, and the
throughput of each endpoint.
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
"""A slice waits up to so many seconds for ``MINIMUM`` operations. After that it closes, even without a figure."""
MINIMUM = 20
"""How many operations a slice needs for a latency or an error rate."""
LOOKED_AT = 128
"""The most operations of one endpoint that one call takes in.

They are enough for a slice, and few enough not to delay the operation at whose end the call runs.
"""
ENDPOINTS_LOOKED_AT = 8
"""The most endpoints that one call takes in, in rotation: it runs at the end of one of the program's operations."""
COMMANDS_WATCHED = 8
"""The most commands watched per endpoint: the first ones that had enough operations in a slice."""
COMMANDS_IN_ALL = 64
"""The most commands watched for all endpoints together."""
_COMMANDS_COLLECTED = 32

WITHDRAWN = "withdrawn"

_random = Random()  # noqa: S311 - for sampling only; separate, because the program may have seeded the shared one


Learned = Mapping[tuple[str, "str | None", str], Mapping[str, Any]]
"""The histories that an earlier process learned, by endpoint, command and figure."""


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
        """Add one operation. The duration of a failed operation does not count as latency."""
        if entry[3] is None:
            self.durations_ns.append(entry[1])
        else:
            self.errors += 1

    def figures(self) -> Iterator[tuple[Kind, float | None, int]]:
        """Yield each kind with its figure, None from too few operations, and the number of operations behind it."""
        enough = len(self.durations_ns) >= MINIMUM
        yield LATENCY, quantile(sorted(self.durations_ns), 0.95) / 1e9 if enough else None, len(self.durations_ns)
        yield ERRORS, self.errors / self.count if self.count >= MINIMUM else None, self.count


class _Subject:
    """The baselines of one endpoint, or of one command of an endpoint."""

    def __init__(self, label: str, endpoint: Endpoint, command: str | None, kinds: Iterable[Kind], deviations: float):
        self.label = label
        self.endpoint = endpoint
        self.command = command
        self.baselines = {kind.name: Baseline(kind, deviations) for kind in kinds}

    def take_over(self, learned: Learned) -> None:
        """Start from what an earlier process learned about this subject."""
        for figure, baseline in self.baselines.items():
            data = learned.get((self.label, self.command, figure))
            if data is not None:
                baseline.take_over(data)

    @property
    def name(self) -> str:
        """The subject's name in messages."""
        return f"{self.label} {self.command}" if self.command else self.label

    def judge(self, kind: Kind, value: float | None, samples: int, now_s: float, *, may_fire: bool) -> str | None:
        """Judge the figure of one slice.

        Args:
            kind: The kind of figure.
            value: The figure, or None without enough operations.
            samples: Operations behind the figure.
            now_s: The time on a monotonic clock, in seconds.
            may_fire: Whether the alert may fire.

        Returns:
            The change of state: ``fired``, ``cleared``, ``accepted`` or ``withdrawn``; None without a change.
        """
        baseline = self.baselines[kind.name]
        if value is not None:
            return baseline.observe(value, samples, now_s, may_fire=may_fire)
        was_firing = baseline.firing
        baseline.withdraw()
        return WITHDRAWN if was_firing else None

    def forget(self, kind: Kind) -> None:
        """Forget the baseline of one kind of figure, and start to learn it again."""
        if kind.name in self.baselines:
            self.baselines[kind.name].forget()

    def odd(self, kind: Kind) -> bool:
        """Return whether the last slice was unusual by its baseline, even if the alert does not fire yet."""
        baseline = self.baselines[kind.name]
        return baseline.firing or (baseline.ready and baseline.side(baseline.measured, baseline.samples) != 0)


class _Watch:
    """The slice in progress of one endpoint, and the endpoint's subjects."""

    def __init__(self, windows: EndpointWindows, deviations: float, now_s: float) -> None:
        self.whole = _Subject(windows.label, windows.endpoint, None, (LATENCY, ERRORS, THROUGHPUT), deviations)
        self.commands: dict[str, _Subject] = {}
        self.samples = _Samples(now_s)
        self.by_command: dict[str, _Samples] = {}
        self.count = 0
        self.seen: int | None = None

    def look(self, windows: EndpointWindows) -> None:
        """Take in the operations since the last call."""
        total, fresh = windows.answers.since(self.seen or 0)
        # The time span of the operations before the first call is unknown, so they do not count towards the throughput.
        self.count += total - self.seen if self.seen is not None else 0
        self.seen = total
        # The sample is random: of a program that alternates GET and SET, every second operation is the same command.
        for entry in fresh if len(fresh) <= LOOKED_AT else _random.choices(fresh, k=LOOKED_AT):
            self.samples.add(entry)
            samples = self.by_command.get(entry[2])
            if samples is None:
                if len(self.by_command) >= _COMMANDS_COLLECTED:
                    continue
                samples = self.by_command[entry[2]] = _Samples(self.samples.since_s)
            samples.add(entry)

    def over(self, now_s: float) -> bool:
        """Return whether the slice is over."""
        return _over(self.samples, now_s)


def _over(samples: _Samples, now_s: float) -> bool:
    age_s = now_s - samples.since_s
    return age_s >= LONGEST_SLICE_S or (age_s >= SLICE_S and samples.count >= MINIMUM)


class Anomalies:
    """The anomaly detection of all endpoints."""

    def __init__(
        self,
        emit: Callable[[Alert], None],
        *,
        deviations: float,
        throughput: bool = False,
        error_rate: float = 0.0,
    ) -> None:
        """Create a detection without any baselines.

        Args:
            emit: Emits an alert. It is called for every alert that fires or clears.
            deviations: How many of its usual deviations a figure may be off; 0 turns the alert off.
            throughput: Whether an unusual throughput fires the alert, too.
            error_rate: The threshold of the alert on the error rate. Above it that alert replaces this one. 0 if it
                is off.
        """
        self._emit = emit
        self._deviations = deviations
        self._throughput = throughput
        self._error_rate = error_rate
        self.reset()

    def reset(self) -> None:
        """Forget all baselines and slices."""
        self._lock = threading.RLock()
        self._watches: dict[str, _Watch] = {}
        self._turn = 0
        self._taken_over: Learned = {}

    def follow(self, endpoints: Sequence[EndpointWindows], now_s: float, now_unix_ns: int) -> list[Alert]:
        """Take in new operations, judge the slices that are over, and emit an alert for every change of state.

        Args:
            endpoints: The windows of all endpoints.
            now_s: The time on a monotonic clock, in seconds.
            now_unix_ns: The time of day, in nanoseconds since 1970.

        Returns:
            The emitted alerts.
        """
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
            state = whole.judge(kind, value, samples, now_s, may_fire=not self._is_explained(kind, value))
            if state is not None:
                changed.append(_alert(whole, kind, state, now_unix_ns))
            if state == ACCEPTED:
                for subject in watch.commands.values():
                    subject.forget(kind)
        watch.samples, watch.count = _Samples(now_s), 0
        for command in watch.commands:  # a command without any operation also gets a slice
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
            # When a whole endpoint is unusual, the alert for the endpoint replaces those for its commands.
            explained = self._is_explained(kind, value) or watch.whole.odd(kind)
            state = subject.judge(kind, value, samples, now_s, may_fire=not explained)
            if state is not None:
                changed.append(_alert(subject, kind, state, now_unix_ns))

    def _is_explained(self, kind: Kind, value: float | None) -> bool:
        """Return whether the alert on the error rate already covers this figure."""
        return kind is ERRORS and value is not None and 0 < self._error_rate < value

    def _room(self, watch: _Watch) -> bool:
        in_all = sum(len(one.commands) for one in self._watches.values())
        return len(watch.commands) < COMMANDS_WATCHED and in_all < COMMANDS_IN_ALL

    def take_over(self, learned: Iterable[Mapping[str, Any]]) -> None:
        """Start from the baselines that ``as_data`` returned in an earlier process."""
        found = {(one["endpoint"], one["command"], one["figure"]): one["history"] for one in learned}
        with self._lock:
            self._taken_over = found
            for subject in self._subjects():
                subject.take_over(found)

    def as_data(self) -> list[dict[str, Any]]:
        """Return the baselines that are ready to judge by, as plain data for a later process."""
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
        """Return every baseline as plain data for reports."""
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
        # Each figure of a subject fires and clears separately.
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
    """Format a figure with its unit for a message."""
    if unit == "s":
        return f"{value * 1000:.3g} ms"
    return f"{value:.2%}" if unit == "1" else f"{value:.3g} operations/s"
