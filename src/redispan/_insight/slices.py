"""The last ten minutes in slices of five seconds: the number of operations and of failures, and the durations.

redispan reads the windows about once a second. Counts are exact. Durations come from at most one window of operations
per reading. They are counted in steps of 19 %, so that slices of several processes add up.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from redispan._insight.window import COUNT, ERRORS, Entry, Totals

SLICE_S = 5
KEPT = 120
_SLICE_NS = SLICE_S * 1_000_000_000
_STEPS_PER_DOUBLING = 4
_UPPER_NS = [1000 * 2 ** (step / _STEPS_PER_DOUBLING) for step in range(160)]
"""The upper bounds of the steps. The last one is twelve days."""

Slice = dict[str, Any]
"""``count``, ``errors``, ``max_ns`` and ``steps``, which has the number of durations by step."""


def step_of(duration_ns: int) -> int:
    """Return the index of the step that a duration falls into."""
    return bisect_left(_UPPER_NS, duration_ns)


def upper_ms(step: int) -> float:
    """Return the upper bound of a step in milliseconds."""
    return float(2 ** (step / _STEPS_PER_DOUBLING)) / 1000


class Slices:
    """The slices of one process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all slices: in a forked child, and in tests."""
        self._lock = threading.RLock()
        self._seen: dict[str, tuple[int, int]] = {}
        self._slices: dict[int, Slice] = {}

    def seen(self, label: str) -> int:
        """Return how many operations of an endpoint the slices already count."""
        return self._seen.get(label, (0, 0))[0]

    def follow(self, label: str, entries: Sequence[Entry], totals: Totals, to_unix_ns: int) -> None:
        """Add the new operations of an endpoint.

        Args:
            label: The endpoint.
            entries: Its window, or at least the part that is newer than the operations that ``seen`` counts.
            totals: Its totals at the same instant.
            to_unix_ns: The offset from the times of the entries to nanoseconds since 1970.
        """
        count = sum(row[COUNT] for row in totals.values())
        errors = sum(row[ERRORS] for row in totals.values())
        with self._lock:
            seen_count, seen_errors = self._seen.get(label, (0, 0))
            fresh = count - seen_count
            if fresh <= 0 or not entries:
                return
            self._seen[label] = (count, errors)
            new = entries[-fresh:]
            by_slice: dict[int, list[int]] = {}
            known_errors = 0
            for entry in new:
                start = (entry[0] + to_unix_ns) // _SLICE_NS
                if entry[3] is not None:
                    known_errors += 1
                    self._slice(start * SLICE_S)["errors"] += 1
                if start in by_slice:
                    by_slice[start].append(entry[1])
                else:
                    by_slice[start] = [entry[1]]
            for start, durations_ns in by_slice.items():
                found = self._slice(start * SLICE_S)
                found["count"] += len(durations_ns)
                found["max_ns"] = max(found["max_ns"], *durations_ns)
                for step, times in Counter(map(step_of, durations_ns)).items():
                    found["steps"][str(step)] = found["steps"].get(str(step), 0) + times
            # Operations that left the window before this reading count, but without a duration.
            found["count"] += fresh - len(new)
            found["errors"] += errors - seen_errors - known_errors

    def snapshot(self, now_unix_ns: int) -> dict[str, Slice]:
        """Return the last ``KEPT`` slices by start in seconds since 1970, as plain data for another process."""
        with self._lock:
            # After the clock was set back, slices of the future would count as the newest ones until that time comes.
            for late in [start for start in self._slices if start > now_unix_ns / 1e9 + SLICE_S]:
                del self._slices[late]
            for old in sorted(self._slices)[:-KEPT]:
                del self._slices[old]
            return {str(start): {**found, "steps": dict(found["steps"])} for start, found in self._slices.items()}

    def _slice(self, start: int) -> Slice:
        return self._slices.setdefault(start, {"count": 0, "errors": 0, "max_ns": 0, "steps": {}})


def merge(several: Iterable[Mapping[str, Slice]]) -> dict[int, Slice]:
    """Add up the slices of several processes, and return the last ``KEPT``."""
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
    """Return the duration that ``share`` of a slice's operations did not exceed, in milliseconds, to the step."""
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
