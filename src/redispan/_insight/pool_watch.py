"""What is kept of the pools between two looks at them: the most connections that were in use at once."""

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
"""Of more, a report has those that are fullest."""

_PAUSE_FOR_A_LOOK = 100
"""A look is followed by a pause so many times as long: a thousand pools must not cost more than a hundredth."""


class PoolWatch:
    """The pools of this process, and their peaks."""

    def __init__(self, read: Callable[[], Iterable[PoolStats]]) -> None:
        """Watch pools.

        Args:
            read: Tells how the pools are now.
        """
        self._read = read
        self.reset()

    def reset(self) -> None:
        """Forget every figure."""
        self._due_ns = 0
        self._peaks: dict[str, int] = {}

    def now(self) -> list[PoolStats]:
        """All pools as they are."""
        pools = list(self._read())
        for pool in pools:
            if pool.name in self._peaks or len(self._peaks) < _PEAKS_LIMIT:
                self._peaks[pool.name] = max(self._peaks.get(pool.name, 0), readings.busy(pool))
        return pools

    def now_and_then(self, now_ns: int) -> list[PoolStats]:
        """All pools, or none if looking at them would take more than a hundredth of the time."""
        if now_ns < self._due_ns:
            return []
        began_ns = thread_time_ns()
        pools = self.now()
        self._due_ns = now_ns + _PAUSE_FOR_A_LOOK * (thread_time_ns() - began_ns)
        return pools

    def snapshot(self, pid: int) -> list[dict[str, Any]]:
        """The fullest pools as plain data, said to be those of process ``pid``."""
        return [
            {**asdict(pool), "pid": pid, "busy": readings.busy(pool), "peak": self._peaks.get(pool.name, 0)}
            for pool in nlargest(POOLS_SHOWN, self.now(), key=_urgency)
        ]


def _urgency(pool: PoolStats) -> tuple[int, float, int]:
    return pool.pending, readings.busy(pool) / (pool.limit or 1 << 31), pool.uses
