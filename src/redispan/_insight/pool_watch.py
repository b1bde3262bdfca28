"""The readings of the pools of this process, and the peak of busy connections that redispan keeps between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from heapq import nlargest
from time import thread_time_ns
from typing import Any

from redispan._core.pool_sources import PoolStats
from redispan._insight import readings

_PEAKS_LIMIT = 500
POOLS_SHOWN = 200
"""The most pools in a report. If there are more, it has the fullest ones."""

_PAUSE_FOR_A_LOOK = 100
"""The pause after a reading is so many times as long as the reading, so that a thousand pools cost at most 1 %."""


class PoolWatch:
    """The pools of this process, and their peaks of busy connections."""

    def __init__(self, read: Callable[[], Iterable[PoolStats]]) -> None:
        """Create a watch without peaks.

        Args:
            read: Returns the current state of every pool.
        """
        self._read = read
        self.reset()

    def reset(self) -> None:
        """Forget the peaks."""
        self._due_ns = 0
        self._peaks: dict[str, int] = {}

    def now(self) -> list[PoolStats]:
        """Read all pools, and update their peaks."""
        pools = list(self._read())
        for pool in pools:
            if pool.name in self._peaks or len(self._peaks) < _PEAKS_LIMIT:
                self._peaks[pool.name] = max(self._peaks.get(pool.name, 0), readings.busy(pool))
        return pools

    def now_and_then(self, now_ns: int) -> list[PoolStats]:
        """Read all pools, or return an empty list if reading them now would take more than 1 % of the time."""
        if now_ns < self._due_ns:
            return []
        began_ns = thread_time_ns()
        pools = self.now()
        self._due_ns = now_ns + _PAUSE_FOR_A_LOOK * (thread_time_ns() - began_ns)
        return pools

    def snapshot(self, pid: int) -> list[dict[str, Any]]:
        """Return the fullest pools as plain data, labelled with the process id ``pid``."""
        return [
            {**asdict(pool), "pid": pid, "busy": readings.busy(pool), "peak": self._peaks.get(pool.name, 0)}
            for pool in nlargest(POOLS_SHOWN, self.now(), key=_urgency)
        ]


def _urgency(pool: PoolStats) -> tuple[int, float, int]:
    return pool.pending, readings.busy(pool) / (pool.limit or 1 << 31), pool.uses
