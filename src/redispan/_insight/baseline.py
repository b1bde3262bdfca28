"""What is usual: one figure's baseline, learned slice by slice, and when the figure has left it for good.

No model of how the figures are spread: what counts is the median, how far values usually lie from it, and what was seen
before. Nothing is learned while the alert fires, or a lasting outage would become what is usual.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redispan._core.records import CLEARED, FIRED

WARM_UP_SLICES = 30
"""So much must have been learned before anything is judged: five minutes, if every slice has enough operations."""
IN_A_ROW = 3
"""So many slices in a row must be unusual before it fires, and usual before it clears."""
CLEAR_SHARE = 0.8
"""Usual again: back at this share of the way from what is expected to the limit."""
NEW_NORMAL_S = 3600.0
"""What has been unusual for so long is what is usual from now on; it is learned anew."""
GRACE_SLICES = 6
"""What was learned by an earlier process is used after so many slices: whoever starts is slow at first."""
_RECENT = _OLDER = 120
_OLDER_EVERY = 10
"""Twenty minutes slice by slice, and one slice in ten of the three hours before."""
_SEEN_BEFORE = 0.99
"""Of what was learned so much must lie on the usual side of a slice: whatever happens now and then is usual."""
_MAD_TO_DEVIATION = 1.4826
_LEAST_SPREAD = 0.05

ACCEPTED = "accepted"
"""A lasting change was taken as the new normal."""


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes:
        name: ``latency``, ``error_rate`` or ``throughput``.
        what: The figure, in words.
        unit: Its unit: ``s``, ``1`` or ``{operation}/s``.
        factor: To be unusual it must be so many times what is expected,
        least: and differ from it by so much at least.
        share: It is a share of the slice's operations, with the chance that few operations leave to it.
        falls: A low figure is unusual as well.
    """

    name: str
    what: str
    unit: str
    factor: float
    least: float
    share: bool = False
    falls: bool = False


LATENCY = Kind("latency", "the 95th percentile of latency", "s", 2.0, 0.001)
ERRORS = Kind("error_rate", "the error rate", "1", 2.0, 0.01, share=True)
THROUGHPUT = Kind("throughput", "the throughput", "{operation}/s", 3.0, 1.0, falls=True)
KINDS = {kind.name: kind for kind in (LATENCY, ERRORS, THROUGHPUT)}


class History:
    """The slices learned, most of the old ones left out."""

    __slots__ = ("_left_out", "_older", "_recent", "learned")

    def __init__(self) -> None:
        self._recent = array("d")
        self._older = array("d")
        self._left_out = 0
        self.learned = 0

    def add(self, value: float) -> None:
        """Learn one slice."""
        self.learned += 1
        self._recent.append(value)
        if len(self._recent) <= _RECENT:
            return
        oldest = self._recent.pop(0)
        self._left_out += 1
        if self._left_out == _OLDER_EVERY:
            self._left_out = 0
            self._older.append(oldest)
            if len(self._older) > _OLDER:
                self._older.pop(0)

    def as_data(self) -> dict[str, Any]:
        """As plain data, to be learned from by another process."""
        return {
            "learned": self.learned,
            "recent": [float(f"{value:.4g}") for value in self._recent],
            "older": [float(f"{value:.4g}") for value in self._older],
        }

    def take_over(self, data: Mapping[str, Any]) -> None:
        """Begin with what another process learned.

        Raises:
            ValueError, TypeError, KeyError: It is no such data.
        """
        recent, older = (array("d", data[part][-most:]) for part, most in (("recent", _RECENT), ("older", _OLDER)))
        learned = int(data["learned"])
        if not all(math.isfinite(value) and value >= 0 for value in (*recent, *older)) or learned < len(recent):
            raise ValueError("no history")
        self._recent, self._older, self.learned = recent, older, learned

    def ordered(self) -> list[float]:
        """What was learned, lowest first."""
        return sorted([*self._older, *self._recent])


class Baseline:
    """One figure of one subject: what is expected of it, and whether it fires.

    Attributes:
        kind: The kind of figure.
        firing: It is unusual, lastingly.
        expected: The median of what was learned.
        measured: The last slice.
        samples: Operations behind that.
    """

    __slots__ = (
        "_deviations", "_good", "_grace", "_high", "_history", "_low", "_odd", "_odd_side", "_since_s", "_spread",
        "expected", "firing", "kind", "measured", "samples",
    )  # fmt: skip

    def __init__(self, kind: Kind, deviations: float) -> None:
        """Know nothing yet.

        Args:
            kind: The kind of figure.
            deviations: How many of its usual deviations it may be off.
        """
        self.kind = kind
        self._deviations = deviations
        self.measured = 0.0
        self.samples = 0
        self.forget()

    def forget(self) -> None:
        """Start to learn anew."""
        self.firing = False
        self._history = History()
        self._odd: list[float] = []
        self._odd_side = 0
        self._good = self._grace = 0
        self._since_s = 0.0
        self.expected = self._spread = self._high = self._low = 0.0

    @property
    def learned(self) -> int:
        """Slices learned so far."""
        return self._history.learned

    @property
    def ready(self) -> bool:
        """Enough was learned to judge by."""
        return self._history.learned >= WARM_UP_SLICES

    def learn(self, value: float, samples: int) -> None:
        """Learn one slice, whatever it is."""
        self.measured, self.samples = value, samples
        self._learn(value)

    def observe(self, value: float, samples: int, now_s: float, *, may_fire: bool = True) -> str | None:
        """Judge one slice, and learn it if it is usual.

        Args:
            value: The slice's figure.
            samples: Operations behind it.
            now_s: The time, on a monotonic clock.
            may_fire: False while another alert tells the same: what is unusual is then only not learned.

        Returns:
            ``fired``, ``cleared`` or ``accepted`` if that changed the state.
        """
        self.measured, self.samples = value, samples
        if self.firing:
            return self._observe_firing(value, now_s)
        side = self.side(value, samples) if self.ready else 0
        if self._grace:
            self._grace -= 1
            may_fire = False
        if side and not may_fire:
            self._odd.clear()
            return None
        if side != self._odd_side:
            # Too short to be told: it belongs to what happens now and then.
            self._learn(*self._odd)
            self._odd.clear()
            self._odd_side = side
        if not side:
            self._learn(value)
            return None
        self._odd.append(value)
        if len(self._odd) < IN_A_ROW:
            return None
        self._odd.clear()
        self.firing, self._good, self._since_s, self._odd_side = True, 0, now_s, 0
        return FIRED

    def _observe_firing(self, value: float, now_s: float) -> str | None:
        self._good = self._good + 1 if not self.side(value, self.samples, CLEAR_SHARE) else 0
        if self._good >= IN_A_ROW:
            self.firing = False
            return CLEARED
        if now_s - self._since_s >= NEW_NORMAL_S:
            self.forget()
            return ACCEPTED
        return None

    def as_data(self) -> dict[str, Any]:
        """What was learned, as plain data."""
        return self._history.as_data()

    def take_over(self, data: Mapping[str, Any]) -> None:
        """Begin with what another process learned, unless this one knows enough itself; nonsense is left alone."""
        if self.ready:
            return
        history = History()
        try:
            history.take_over(data)
        except (ValueError, TypeError, KeyError, OverflowError):
            return
        if history.learned > self.learned:
            self._history, self._grace = history, GRACE_SLICES
            self._judge_anew()

    def withdraw(self) -> None:
        """Nothing is measured any more that could support the alert."""
        self.firing = False
        self._odd.clear()
        self._odd_side = 0

    def side(self, value: float, samples: int, share: float = 1.0) -> int:
        """1 if ``value`` is unusually high, -1 if it is unusually low, else 0.

        Args:
            value: The figure.
            samples: Operations behind it.
            share: At which share of the way to the limit that begins.
        """
        if value > self.expected + share * (self.limit(samples) - self.expected):
            return 1
        low = self.low_limit()
        if low is not None and value < self.expected - share * (self.expected - low):
            return -1
        return 0

    def limit(self, samples: int) -> float:
        """The highest figure that is still usual."""
        kind = self.kind
        limit = max(
            self.expected + self._deviations * self.spread(samples),
            self.expected * kind.factor,
            self.expected + kind.least,
            self._high,
        )
        return min(limit, 1.0) if kind.share else limit

    def low_limit(self) -> float | None:
        """The lowest figure that is still usual, None if none is too low."""
        kind = self.kind
        if not kind.falls:
            return None
        return min(
            self.expected - self._deviations * self.spread(self.samples),
            self.expected / kind.factor,
            self.expected - kind.least,
            self._low,
        )

    def spread(self, samples: int) -> float:
        """How far off the figure usually is: the robust counterpart of a standard deviation."""
        spread = max(self._spread, _LEAST_SPREAD * self.expected)
        if self.kind.share and samples:
            likely = min(max(self.expected, 1 / samples), 0.5)
            spread = max(spread, math.sqrt(likely * (1 - likely) / samples))
        return spread

    def deviation(self) -> float:
        """By how many usual deviations the last slice is off."""
        spread = max(self.spread(self.samples), self.kind.least * _LEAST_SPREAD)
        return (self.measured - self.expected) / spread

    def _learn(self, *values: float) -> None:
        if not values:
            return
        for value in values:
            self._history.add(value)
        self._judge_anew()

    def _judge_anew(self) -> None:
        ordered = self._history.ordered()
        self.expected = _at(ordered, 0.5)
        self._spread = _MAD_TO_DEVIATION * _at(sorted(abs(value - self.expected) for value in ordered), 0.5)
        self._high = _at(ordered, _SEEN_BEFORE)
        self._low = ordered[len(ordered) - 1 - _place(ordered, _SEEN_BEFORE)]


def _at(ordered: list[float], share: float) -> float:
    return ordered[_place(ordered, share)]


def _place(ordered: list[float], share: float) -> int:
    return max(math.ceil(share * len(ordered)), 1) - 1
