"""Where a server's memory is heading: its pace over the last two hours, if it has one.

What is used goes up and down, with evictions, expiries and a save now and then. Only if it grows whatever two moments
are compared, more or less, is that a pace to go by.
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
"""Below it, 24 minutes, nothing is said."""
_GROWING = 0.9
"""So many of the pairs of points must be growth."""

Point = Sequence[float]
"""Seconds since 1970, bytes."""


class MemoryTrends:
    """The memory of servers over time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._lock = threading.RLock()
        self._points: dict[str, list[tuple[float, float]]] = {}

    def follow(self, readings: Iterable[ServerReading]) -> None:
        """Keep a point now and then; the same reading again changes nothing."""
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
        """The points by server, as plain data."""
        with self._lock:
            return {endpoint: [list(point) for point in points] for endpoint, points in self._points.items()}


def growth_bytes_per_s(points: Sequence[Point]) -> float | None:
    """The median of the paces between any two points; None if they are too few, or don't agree that it grows."""
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
    """Hours until the limit at this pace; None without a pace or a limit."""
    if used_bytes is None or not limit_bytes or not per_s:
        return None
    return max(0.0, (limit_bytes - used_bytes) / per_s / 3600)
