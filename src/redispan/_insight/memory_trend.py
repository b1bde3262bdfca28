"""The trend of a server's memory: how fast it has grown over the last two hours, if it has grown steadily.

Memory use goes up and down with evictions, expiries and occasional saves. It counts as growing only if nearly every
pair of readings shows growth.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import median
from typing import Any

from redispan._core.records import ServerReading

POINTS = 40
EVERY_S = 180
"""Forty points, three minutes apart: two hours."""
SERVERS_LIMIT = 64
LEAST_POINTS = 8
"""A trend needs at least so many points: 24 minutes."""
_GROWING = 0.9
"""At least this share of the pairs of points must show growth."""

Point = Sequence[float]
"""The time in seconds since 1970, and the used memory in bytes."""


class MemoryTrends:
    """The used memory of servers over time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all points."""
        self._lock = threading.RLock()
        self._points: dict[str, list[tuple[float, float]]] = {}

    def follow(self, readings: Iterable[ServerReading]) -> None:
        """Add a point for each reading that is ``EVERY_S`` newer than the last point. Others add nothing."""
        with self._lock:
            for reading in readings:
                if reading.used_memory_bytes is None:
                    continue
                at_s = reading.at_unix_ns / 1e9
                points = self._points.get(reading.endpoint)
                if points is None:
                    if len(self._points) >= SERVERS_LIMIT:
                        continue
                    points = self._points[reading.endpoint] = []
                if points and points[-1][0] - at_s > EVERY_S:  # the clock was set back
                    points.clear()
                if not points or at_s - points[-1][0] >= EVERY_S:
                    points.append((at_s, float(reading.used_memory_bytes)))
                    del points[:-POINTS]

    def snapshot(self) -> dict[str, Any]:
        """Return the points by server, as plain data."""
        with self._lock:
            return {endpoint: [list(point) for point in points] for endpoint, points in self._points.items()}


def growth_bytes_per_s(points: Sequence[Point]) -> float | None:
    """Return the median growth rate between any two points; None with too few points, or without steady growth."""
    if len(points) < LEAST_POINTS:
        return None
    paces = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(points, 2)
        if later[0] > earlier[0]
    ]
    if not paces or sum(pace > 0 for pace in paces) < _GROWING * len(paces):
        return None
    return median(paces)


def full_in_h(used_bytes: int | None, limit_bytes: int | None, per_s: float | None) -> float | None:
    """Return the hours until memory reaches its limit at this growth rate; None without a rate or a limit."""
    if used_bytes is None or not limit_bytes or not per_s:
        return None
    return max(0.0, (limit_bytes - used_bytes) / per_s / 3600)
