"""The last ten minutes in slices of five seconds: how many operations, how many failed, how long they took.

Read off the windows about once a second: counts are exact, durations are those of at most a window's operations per
reading, kept in steps of 19 %, so that slices of several processes can be added up.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from redispan._insight.window import COUNT, ERRORS

SLICE_S = 5
KEPT = 120
_STEPS_PER_DOUBLING = 4

Slice = dict[str, Any]
"""``count``, ``errors``, ``max_ns`` and ``steps``: how many durations of which size."""


def step_of(duration_ns: int) -> int:
    """The number of the step that a duration falls into."""
    return math.ceil(math.log2(max(duration_ns, 1000) / 1000) * _STEPS_PER_DOUBLING)


def upper_ms(step: int) -> float:
    """The longest duration of a step."""
    return float(2 ** (step / _STEPS_PER_DOUBLING)) / 1000


class Slices:
    """The slices of one process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a forked child, and in tests."""
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}
        self._slices: dict[int, Slice] = {}

    def follow(self, endpoints: Mapping[str, Any]) -> dict[str, Slice]:
        """Take in what is new in a snapshot's endpoints; the result is all slices, ready to travel."""
        with self._lock:
            for label, endpoint in endpoints.items():
                self._follow_one(label, endpoint["answers"])
            for old in sorted(self._slices)[:-KEPT]:
                del self._slices[old]
            return {str(start): {**found, "steps": dict(found["steps"])} for start, found in self._slices.items()}

    def _follow_one(self, label: str, answers: Mapping[str, Any]) -> None:
        rows = answers["totals"].values()
        count, errors = sum(row[COUNT] for row in rows), sum(row[ERRORS] for row in rows)
        seen_count, seen_errors = self._seen.get(label, (0, 0))
        fresh = count - seen_count
        if fresh <= 0 or not answers["window"]:
            return
        self._seen[label] = (count, errors)
        window = answers["window"][-fresh:]
        found: Slice = {}
        for end_ns, duration_ns, *_ in window:
            found = self._slice(end_ns)
            found["count"] += 1
            found["max_ns"] = max(found["max_ns"], duration_ns)
            step = str(step_of(duration_ns))
            found["steps"][step] = found["steps"].get(step, 0) + 1
        # What fell out of the window before it was read, and failures, which are counted without their time.
        found["count"] += fresh - len(window)
        found["errors"] += errors - seen_errors

    def _slice(self, end_ns: int) -> Slice:
        start = end_ns // (SLICE_S * 1_000_000_000) * SLICE_S
        return self._slices.setdefault(start, {"count": 0, "errors": 0, "max_ns": 0, "steps": {}})


def merge(several: Iterable[Mapping[str, Slice]]) -> dict[int, Slice]:
    """The slices of several processes added up."""
    merged: dict[int, Slice] = {}
    for slices in several:
        for start, found in slices.items():
            known = merged.setdefault(int(start), {"count": 0, "errors": 0, "max_ns": 0, "steps": {}})
            known["count"] += found["count"]
            known["errors"] += found["errors"]
            known["max_ns"] = max(known["max_ns"], found["max_ns"])
            for step, count in found["steps"].items():
                known["steps"][step] = known["steps"].get(step, 0) + count
    return dict(sorted(merged.items())[-KEPT:])


def quantile_ms(found: Slice, share: float) -> float | None:
    """The duration that ``share`` of a slice's operations did not exceed, to the step."""
    steps: dict[str, int] = found["steps"]
    longest_ms = float(found["max_ns"]) / 1e6
    total = sum(steps.values())
    if not total:
        return None
    rank, passed = share * total, 0
    for step in sorted(steps, key=int):
        passed += steps[step]
        if passed >= rank - 1e-9:
            return min(upper_ms(int(step)), longest_ms)
    return longest_ms
