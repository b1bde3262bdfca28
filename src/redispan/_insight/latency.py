"""Latency figures of a list of operations: exact, because they are computed from the operations themselves."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

TARGET_MS = 100.0
"""The response time that every operation is to stay under (requirement R4)."""

QUANTILES = (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99), ("p999_ms", 0.999))


@dataclass(frozen=True)
class Latency:
    """How long operations took, as their callers saw it.

    Attributes:
        operations: How many there are.
        errors: How many of them failed; flow control and failures healed by a retry are none.
        error_rate: Share that failed, 0 to 1.
        operations_per_s: How many there were a second.
        min_ms: The fastest.
        mean_ms: The average.
        max_ms: The slowest.
        p50_ms: Half of them took no longer.
        p95_ms: 95 % took no longer.
        p99_ms: 99 % took no longer.
        p999_ms: 99.9 % took no longer.
        under_target: Share that succeeded in less than 100 ms, 0 to 1: what fails at once is not quick.
        over_target: Share that took 100 ms or more, failed or not, 0 to 1.
        pool_wait_share: Share of all time that went into waiting for a connection of the pool, 0 to 1.
    """

    operations: int = 0
    errors: int = 0
    error_rate: float = 0.0
    operations_per_s: float = 0.0
    min_ms: float | None = None
    mean_ms: float | None = None
    max_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    under_target: float | None = None
    over_target: float | None = None
    pool_wait_share: float | None = None


NOTHING = Latency()
"""The figures of no operation at all."""


def quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least ``share`` of the ``ordered`` values don't exceed."""
    # 0.95 * 20 is 19.000000000000004 in floats, which a bare ceil would take for 20.
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def latency_of(durations_ns: Sequence[int], failed_ns: Sequence[int], per_s: float, pool_wait_ns: int = 0) -> Latency:
    """Compute the figures.

    Args:
        durations_ns: One duration per operation, in any order.
        failed_ns: The durations of those among them that failed.
        per_s: Their rate.
        pool_wait_ns: Time that all of them together waited for a connection.
    """
    count = len(durations_ns)
    if not count:
        return NOTHING
    ordered = sorted(durations_ns)
    total_ns = sum(ordered)
    target_ns = TARGET_MS * 1e6
    quick = bisect_left(ordered, target_ns)
    return Latency(
        operations=count,
        errors=len(failed_ns),
        error_rate=len(failed_ns) / count,
        operations_per_s=per_s,
        min_ms=ordered[0] / 1e6,
        mean_ms=total_ns / count / 1e6,
        max_ms=ordered[-1] / 1e6,
        under_target=(quick - sum(1 for duration in failed_ns if duration < target_ns)) / count,
        over_target=(count - quick) / count,
        pool_wait_share=min(1.0, pool_wait_ns / total_ns) if total_ns else 0.0,
        **{name: quantile(ordered, share) / 1e6 for name, share in QUANTILES},
    )


def rate_per_s(ends_ns: Sequence[int], now_ns: int, *, full: bool) -> float:
    """Operations a second, from the oldest to now, so that the figure falls while nothing happens.

    Args:
        ends_ns: When the operations ended, in any order.
        now_ns: The present on the same clock.
        full: The window holds as many as it may. One that doesn't has seen everything since the start, and its first
            instants would otherwise look like thousands of operations a second.
    """
    if not ends_ns:
        return 0.0
    elapsed_s = max((now_ns - min(ends_ns)) / 1e9, 1e-6 if full else 1.0)
    return len(ends_ns) / elapsed_s
