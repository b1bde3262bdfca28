"""Advice to reuse connections, because a program keeps opening new ones."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

USES = 100
REUSE = 0.9
POOLS = 30
"""So many pools to one server and database mean one client per request.

A Celery worker has a dozen, one or two per channel.
"""


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if a pool opens a connection for more than one use in ten, or if many pools share one address."""
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
    # Many small pools to one address mean one client per request. None of them has enough uses for the check above.
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
