"""The latency figures of a list of operations. They are exact, because they come from the operations themselves."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

TARGET_MS = 100.0
"""The response time that every operation should stay under (requirement R4)."""

QUANTILES = (("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99), ("p999_ms", 0.999))


@dataclass(frozen=True)
class Latency:
    """How long operations took, as their callers saw it.

    Attributes:
        operations: Number of operations.
        errors: Number of failed operations, without flow control and failures that a retry healed.
        error_rate: Share of operations that failed, 0 to 1.
        operations_per_s: Operations per second.
        min_ms: Duration of the fastest operation.
        mean_ms: Average duration.
        max_ms: Duration of the slowest operation.
        p50_ms: The median: half of the operations took no longer.
        p95_ms: 95th percentile: 95 % of the operations took no longer.
        p99_ms: 99th percentile: 99 % of the operations took no longer.
        p999_ms: 99.9th percentile: 99.9 % of the operations took no longer.
        under_target: Share of operations that succeeded in less than 100 ms, 0 to 1. A fast failure does not count.
        over_target: Share of operations that took 100 ms or more, failed or not, 0 to 1.
        pool_wait_share: Share of the total time spent waiting for a connection of the pool, 0 to 1.
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
"""The figures without any operation."""


def quantile(ordered: Sequence[int], share: float) -> int:
    """Return the smallest of the ``ordered`` values that at least ``share`` of them do not exceed."""
    # 0.95 * 20 is 19.000000000000004 in floats, and ceil alone would make that 20.
    rank = math.ceil(round(share * len(ordered), 9))
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def latency_of(durations_ns: Sequence[int], failed_ns: Sequence[int], per_s: float, pool_wait_ns: int = 0) -> Latency:
    """Compute the latency figures of some operations.

    Args:
        durations_ns: One duration per operation, in any order.
        failed_ns: The durations of the failed ones among these operations.
        per_s: Operations per second.
        pool_wait_ns: The total time that the operations waited for a connection.
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
    """Compute operations per second, from the oldest operation to now, so that the rate falls while none happen.

    Args:
        ends_ns: The end times of the operations, in any order.
        now_ns: The current time on the same clock.
        full: Whether the window is full. A window that is not full has every operation since the start. Its time span
            counts as at least one second, because a shorter one would give thousands of operations per second.
    """
    if not ends_ns:
        return 0.0
    elapsed_s = max((now_ns - min(ends_ns)) / 1e9, 1e-6 if full else 1.0)
    return len(ends_ns) / elapsed_s
