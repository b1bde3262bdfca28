"""Connections are opened again and again instead of being reused."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

USES = 100
REUSE = 0.9
POOLS = 30
"""So many pools of one place are clients made per request. A Celery worker has a dozen, one or two per channel."""


def look(facts: Facts) -> Iterator[Finding]:
    """A pool opens a connection for more than one use in ten."""
    for pool in facts.pools:
        if pool.uses < USES or pool.reuse is None or pool.reuse >= REUSE or pool.created <= (pool.limit or 50):
            continue
        yield Finding(
            "connection_churn",
            2,
            f"the pool {pool.pool} keeps opening connections",
            f"{pool.created} connections were opened for {pool.uses} uses (reuse {pool.reuse:.0%})",
            "keep one client for the life of the process, and set the server's `timeout` to 0 or above the idle time",
            {"created": pool.created, "uses": pool.uses, "reuse": pool.reuse},
        )
    # Many small pools of one place are clients made per request: none of them is reused long enough to show above.
    by_place: dict[tuple[int, str], int] = {}
    for pool in facts.pools:
        key = (pool.pid, pool.pool.partition("#")[0])
        by_place[key] = by_place.get(key, 0) + 1
    for (pid, place), count in by_place.items():
        if count >= POOLS:
            yield Finding(
                "connection_churn",
                2,
                f"process {pid} has {count} pools to {place}",
                f"{count} pools of the same place are alive at once",
                "make the client once per process, not once per request",
                {"pools": count},
            )
