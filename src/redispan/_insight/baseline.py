"""The baseline of one figure: what is usual, learned slice by slice, and when the figure has left it.

A baseline assumes no distribution of the figures. It uses their median, how far values usually lie from it, and the
values seen before. A baseline learns nothing while its alert fires: otherwise a lasting outage would become usual.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redispan._core.records import CLEARED, FIRED

WARM_UP_SLICES = 30
"""A baseline judges nothing before it has learned so many slices: five minutes, if each has enough operations."""
IN_A_ROW = 3
"""The alert fires after so many unusual slices in a row, and clears after so many usual ones."""
CLEAR_SHARE = 0.8
"""A firing figure is usual again at this share of the way from the expected value to the limit."""
NEW_NORMAL_S = 3600.0
"""After so many seconds of firing the change counts as the new normal: the baseline starts to learn again."""
GRACE_SLICES = 6
"""A baseline from an earlier process fires nothing in so many first slices, because a starting process is slow."""
_RECENT = _OLDER = 120
_OLDER_EVERY = 10
"""How much a history keeps: every slice of the last twenty minutes, and one in ten of the three hours before.

The times assume slices of ten seconds.
"""
_SEEN_BEFORE = 0.99
"""An unusual slice lies beyond this share of the learned ones, because what happens now and then is usual."""
_MAD_TO_DEVIATION = 1.4826  # the factor from the median absolute deviation to the standard deviation of normal data
_LEAST_SPREAD = 0.05

ACCEPTED = "accepted"
"""The change of state of a baseline that accepts a lasting change as the new normal."""


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes:
        name: ``latency``, ``error_rate`` or ``throughput``.
        what: The figure, in words.
        unit: Its unit: ``s``, ``1`` or ``{operation}/s``.
        factor: An unusual figure is at least so many times the expected value.
        least: An unusual figure differs from the expected value by at least so much.
        share: Whether the figure is a share of the slice's operations, which varies more with few operations.
        falls: Whether a low figure is unusual, too.
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
    """The learned slices: all recent ones, and one in ten of the older ones."""

    __slots__ = ("_left_out", "_older", "_recent", "learned")

    def __init__(self) -> None:
        self._recent = array("d")
        self._older = array("d")
        self._left_out = 0
        self.learned = 0

    def add(self, value: float) -> None:
        """Add the figure of one slice."""
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
        """Return the history as plain data, for a later process."""
        return {
            "learned": self.learned,
            "recent": [float(f"{value:.4g}") for value in self._recent],
            "older": [float(f"{value:.4g}") for value in self._older],
        }

    def take_over(self, data: Mapping[str, Any]) -> None:
        """Replace this history by one that another process learned.

        Args:
            data: What ``as_data`` returned in the other process.

        Raises:
            ValueError, TypeError, KeyError: ``data`` is not the data of a history.
        """
        recent, older = (array("d", data[part][-most:]) for part, most in (("recent", _RECENT), ("older", _OLDER)))
        learned = int(data["learned"])
        if not all(math.isfinite(value) and value >= 0 for value in (*recent, *older)) or learned < len(recent):
            raise ValueError("no history")
        self._recent, self._older, self.learned = recent, older, learned

    def ordered(self) -> list[float]:
        """Return the learned values, lowest first."""
        return sorted([*self._older, *self._recent])


class Baseline:
    """The baseline of one figure of one subject, and whether its alert fires.

    Attributes:
        kind: The kind of figure.
        firing: Whether the alert fires.
        expected: The median of the learned values.
        measured: The figure of the last slice.
        samples: The operations behind ``measured``.
    """

    __slots__ = (
        "_deviations", "_good", "_grace", "_high", "_history", "_low", "_odd", "_odd_side", "_since_s", "_spread",
        "expected", "firing", "kind", "measured", "samples",
    )  # fmt: skip

    def __init__(self, kind: Kind, deviations: float) -> None:
        """Create an empty baseline.

        Args:
            kind: The kind of figure.
            deviations: How many of its usual deviations the figure may be off.
        """
        self.kind = kind
        self._deviations = deviations
        self.measured = 0.0
        self.samples = 0
        self.forget()

    def forget(self) -> None:
        """Forget everything learned, and start to learn again."""
        self.firing = False
        self._history = History()
        self._odd: list[float] = []
        self._odd_side = 0
        self._good = self._grace = 0
        self._since_s = 0.0
        self.expected = self._spread = self._high = self._low = 0.0

    @property
    def learned(self) -> int:
        """The number of slices learned so far."""
        return self._history.learned

    @property
    def ready(self) -> bool:
        """Whether the baseline has learned enough slices to judge by."""
        return self._history.learned >= WARM_UP_SLICES

    def learn(self, value: float, samples: int) -> None:
        """Learn one slice, without judging it."""
        self.measured, self.samples = value, samples
        self._learn(value)

    def observe(self, value: float, samples: int, now_s: float, *, may_fire: bool = True) -> str | None:
        """Judge one slice, and learn it if it is usual.

        Args:
            value: The slice's figure.
            samples: Operations behind it.
            now_s: The time on a monotonic clock, in seconds.
            may_fire: False while another alert covers this figure. An unusual slice is then neither learned nor
                counted towards firing.

        Returns:
            ``fired``, ``cleared`` or ``accepted`` if the state changed, else None.
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
            # Too few unusual slices for an alert: the baseline learns them as something that happens now and then.
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
        """Return the learned history as plain data."""
        return self._history.as_data()

    def take_over(self, data: Mapping[str, Any]) -> None:
        """Start from what another process learned.

        Nothing changes if this baseline is ready by itself, if it has learned more, or if ``data`` is invalid.
        """
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
        """Stop firing, because no measurement supports the alert any more."""
        self.firing = False
        self._odd.clear()
        self._odd_side = 0

    def side(self, value: float, samples: int, share: float = 1.0) -> int:
        """Return 1 if ``value`` is unusually high, -1 if it is unusually low, else 0.

        Args:
            value: The figure.
            samples: Operations behind it.
            share: The share of the way from the expected value to the limit at which a value becomes unusual.
        """
        if value > self.expected + share * (self.limit(samples) - self.expected):
            return 1
        low = self.low_limit()
        if low is not None and value < self.expected - share * (self.expected - low):
            return -1
        return 0

    def limit(self, samples: int) -> float:
        """Return the highest figure that is still usual."""
        kind = self.kind
        limit = max(
            self.expected + self._deviations * self.spread(samples),
            self.expected * kind.factor,
            self.expected + kind.least,
            self._high,
        )
        return min(limit, 1.0) if kind.share else limit

    def low_limit(self) -> float | None:
        """Return the lowest figure that is still usual, or None if no figure is too low."""
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
        """Return how far the figure usually lies from the expected value: a robust standard deviation."""
        spread = max(self._spread, _LEAST_SPREAD * self.expected)
        if self.kind.share and samples:
            likely = min(max(self.expected, 1 / samples), 0.5)
            spread = max(spread, math.sqrt(likely * (1 - likely) / samples))
        return spread

    def deviation(self) -> float:
        """Return by how many usual deviations the last slice differs from the expected value."""
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
