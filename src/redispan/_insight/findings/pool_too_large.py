"""Advice to lower the limit of a pool that allows far more connections than it ever needed."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

USES = 10_000
LARGE = 100


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if a pool has a limit of 100 or more, and at most a tenth of its connections was ever busy."""
    for pool in facts.pools:
        peak = pool.peak_utilisation
        if pool.limit is None or pool.limit < LARGE or pool.uses < USES or peak is None or peak > 0.1:
            continue
        yield Finding(
            "pool_too_large",
            1,
            f"the pool {pool.pool} may open {pool.limit} connections and never needed a tenth of them",
            f"at most {peak:.0%} were busy at once, in {pool.uses} uses",
            f"`pool_max_connections={max(pool.advised_limit or 0, 10)}`: a limit that is too high hides leaks and can "
            "use up the server's `maxclients`",
            {"limit": pool.limit, "peak_utilisation": peak},
        )
