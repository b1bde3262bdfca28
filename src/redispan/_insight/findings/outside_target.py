"""Advice on operations that miss the target of 100 ms."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

MINIMUM = 100
SHARE = 0.01


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if more than one in a hundred recent operations took 100 ms or more."""
    recent = facts.recent
    if recent.operations < MINIMUM or recent.over_target is None or recent.over_target <= SHARE:
        return
    slowest = next((found for found in facts.commands if (found.window.over_target or 0.0) > SHARE), None)
    culprit = f"; slowest command: {slowest.command}" if slowest is not None else ""
    share = recent.pool_wait_share or 0.0
    change = (
        "most of that time is waiting for a connection: see the pool's recommendation"
        if share > 0.5
        else "look at SLOWLOG GET: what isn't in it was lost on the network or in a busy event loop"
    )
    yield Finding(
        "outside_target",
        2,
        f"{recent.over_target:.1%} of the recent operations took 100 ms or more",
        f"of {recent.operations} operations; p99 {recent.p99_ms or 0:.1f} ms{culprit}",
        change,
        {"over_target": recent.over_target, "p99_ms": recent.p99_ms or 0.0, "pool_wait_share": share},
    )
