"""The engine of lasting alerts.

A lasting alert fires once, holds, and clears once, even while its figure fluctuates around the threshold.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from redispan._core.records import CLEARED, FIRED, Alert
from redispan._insight.alert_rules import Rule

SUBJECTS_LIMIT = 500
FORGET_AFTER_S = 300.0
"""A firing alert clears after so many seconds without a sample, because no data supports it any more."""


@dataclass(frozen=True)
class Reading:
    """One figure for a rule to judge.

    Attributes:
        rule: Name of the rule.
        subject: The endpoint or the pool that the figure describes.
        value: The figure, or None without data to compute it from.
        samples: How many samples the figure rests on.
        address: Host of the server.
        port: Port of the server.
        db: Index of the database.
        evidence: Further figures, by OpenTelemetry attribute name.
    """

    rule: str
    subject: str
    value: float | None
    samples: int = 1
    address: str | None = None
    port: int | None = None
    db: str | None = None
    evidence: Mapping[str, float | int | str] = field(default_factory=dict)


class Trigger:
    """The state of one rule for one subject: whether its alert fires."""

    __slots__ = ("_good_since_s", "_rule", "_seen_s", "firing")

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.firing = False
        self._good_since_s: float | None = None
        self._seen_s: float | None = None

    def observe(self, value: float | None, samples: int, now_s: float) -> str | None:
        """Judge one value, and return ``fired`` or ``cleared`` if the state changed, else None."""
        if value is not None:
            self._seen_s = now_s
        if not self.firing:
            if value is None or samples < self._rule.minimum or not value > self._rule.threshold:
                return None
            self.firing = True
            self._good_since_s = None
            return FIRED
        return CLEARED if self._clears(value, now_s) else None

    def _clears(self, value: float | None, now_s: float) -> bool:
        if value is None:
            seen_s = now_s if self._seen_s is None else self._seen_s
            over = now_s - seen_s >= FORGET_AFTER_S
        elif value > self._rule.clear_at:
            self._good_since_s = None
            return False
        else:
            if self._good_since_s is None:
                self._good_since_s = now_s
            over = now_s - self._good_since_s >= self._rule.clear_after_s
        if over:
            self.firing = False
        return over


class AlertEngine:
    """The triggers of all rules and subjects. The engine emits an alert for every change of state."""

    def __init__(self, rules: Mapping[str, Rule], emit: Callable[[Alert], None]) -> None:
        """Create an engine with no alert firing.

        Args:
            rules: The rules in effect, by name.
            emit: Emits an alert. The engine calls it for every alert that fires or clears.
        """
        self.rules = rules
        self._emit = emit
        self.reset()

    def reset(self) -> None:
        """Forget the state of every trigger."""
        self._lock = threading.RLock()
        self._triggers: dict[tuple[str, str], Trigger] = {}
        self._last: dict[tuple[str, str], Reading] = {}

    def evaluate(self, readings: Iterable[Reading], now_s: float, now_unix_ns: int) -> list[Alert]:
        """Judge the current readings, and emit an alert for every change of state.

        A firing subject without a reading counts as one without data, so that its alert can clear.

        Args:
            readings: The current figures.
            now_s: The time on a monotonic clock, in seconds.
            now_unix_ns: The time of day, in nanoseconds since 1970.

        Returns:
            The emitted alerts.
        """
        changed: list[Alert] = []
        with self._lock:
            heard = set()
            for reading in readings:
                heard.add((reading.rule, reading.subject))
                self._judge(reading, now_s, now_unix_ns, changed)
            for key, reading in list(self._last.items()):
                if key not in heard:
                    unheard = Reading(reading.rule, reading.subject, None, 0, reading.address, reading.port, reading.db)
                    self._judge(unheard, now_s, now_unix_ns, changed)
        for alert in changed:
            self._emit(alert)
        return changed

    def _judge(self, reading: Reading, now_s: float, now_unix_ns: int, changed: list[Alert]) -> None:
        rule = self.rules.get(reading.rule)
        if rule is None:
            return
        key = (reading.rule, reading.subject)
        trigger = self._triggers.get(key)
        if trigger is None:
            if len(self._triggers) >= SUBJECTS_LIMIT:
                self._triggers = {known: kept for known, kept in self._triggers.items() if kept.firing}
                if len(self._triggers) >= SUBJECTS_LIMIT:
                    return
            trigger = self._triggers[key] = Trigger(rule)
        state = trigger.observe(reading.value, reading.samples, now_s)
        if state == FIRED:
            self._last[key] = reading
        elif state == CLEARED:
            self._last.pop(key, None)
        if state is not None:
            changed.append(_alert(rule, reading, state, now_unix_ns))


def _alert(rule: Rule, reading: Reading, state: str, now_unix_ns: int) -> Alert:
    figure = "no more data" if reading.value is None else f"{reading.value:.1%}"
    if state == FIRED:
        message = f"{reading.subject}: {rule.what} is {figure}, above {rule.threshold:.0%}"
    else:
        message = f"{reading.subject}: {rule.what} is fine again ({figure})"
    return Alert(
        name=rule.name,
        state=state,
        message=message,
        endpoint=reading.subject,
        value=reading.value or 0.0,
        threshold=rule.threshold,
        unit="1",
        at_unix_ns=now_unix_ns,
        severity=rule.severity if state == FIRED else "info",
        address=reading.address,
        port=reading.port,
        db=reading.db,
        evidence=reading.evidence,
    )
