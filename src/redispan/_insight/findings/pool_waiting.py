"""Advice on operations that spend much of their time waiting for a connection of the pool."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

MINIMUM = 50
SHARE = 0.2


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if at least a fifth of the time of the window's operations went into waiting for the pool."""
    window = facts.window
    share = window.pool_wait_share or 0.0
    if window.operations < MINIMUM or share < SHARE:
        return
    yield Finding(
        "pool_waiting",
        2,
        f"{share:.0%} of the time of operations is waiting for a connection",
        f"in the last {window.operations} operations, {window.mean_ms or 0:.2f} ms each on average",
        "a larger `pool_max_connections`, or pipelines: they need one connection for many commands",
        {"pool_wait_share": share},
    )
