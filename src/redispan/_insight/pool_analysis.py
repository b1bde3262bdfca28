"""The figures of connection pools: how full they are, how well they are used, and how large they should be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from redispan._insight.report_figures import PoolFigures

HEADROOM = 1.5
SMALLEST = 4


def pool_figures(pool: Mapping[str, Any]) -> PoolFigures:
    """Compute the figures of one pool of a snapshot."""
    limit, busy, uses, waits = pool["limit"], pool["busy"], pool["uses"], pool["waits"]
    peak = max(pool["peak"], busy)
    return PoolFigures(
        pool=pool["name"],
        pid=pool["pid"],
        kind=pool["kind"],
        used=pool["used"],
        busy=busy,
        idle=pool["idle"],
        limit=limit,
        utilisation=busy / limit if limit else None,
        peak_utilisation=peak / limit if limit else None,
        pending=pool["pending"],
        waits=waits,
        mean_wait_ms=pool["wait_s"] / waits * 1000 if waits else None,
        timeouts=pool["timeouts"],
        exhausted=pool["exhausted"],
        created=pool["created"],
        uses=uses,
        reuse=max(0.0, 1 - pool["created"] / uses) if uses else None,
        advised_limit=advised_limit(peak, pool["pending"], starved=bool(pool["timeouts"] or pool["exceeded"])),
        tuned=pool["tuned"],
    )


def advised_limit(peak: int, pending: int, *, starved: bool) -> int | None:
    """Return the limit that a pool needs for its load, or None if no connection was ever busy.

    By Little's law the number of busy connections is the rate of operations times their duration. ``peak`` is that
    number as counted, so no model is needed. Callers that still wait would be busy, too.

    Args:
        peak: The most connections seen busy at once.
        pending: The callers that wait now.
        starved: Whether a caller got no connection, or the pool had to open one beyond its limit.
    """
    if not peak:
        return None
    needed = (peak + pending) * (2.0 if starved else HEADROOM)
    return max(SMALLEST, math.ceil(needed))
