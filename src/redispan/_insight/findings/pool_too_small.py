"""Advice to raise the limit of a pool that is too small for its load."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if callers of a pool wait or find no free connection, or if nearly all its connections were busy."""
    limit = facts.thresholds["pool_usage"] or 0.9
    for pool in facts.pools:
        peak = pool.peak_utilisation or 0.0
        if pool.limit is None or not (pool.timeouts or pool.exhausted or pool.pending or peak > limit):
            continue
        wait = "" if pool.mean_wait_ms is None else f", {pool.mean_wait_ms:.1f} ms of waiting on average"
        yield Finding(
            "pool_too_small",
            3 if pool.timeouts else 2,
            f"the pool {pool.pool} is too small for its load",
            f"up to {peak:.0%} of {pool.limit} connections busy, {pool.exhausted} calls found none free, "
            f"{pool.timeouts} gave up{wait}",
            f"`pool_max_connections={max(pool.advised_limit or 0, pool.limit + 1)}` (now {pool.limit}), or fewer "
            "operations at once",
            {"limit": pool.limit, "peak_utilisation": peak, "timeouts": pool.timeouts, "exhausted": pool.exhausted},
        )
