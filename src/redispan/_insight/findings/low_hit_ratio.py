"""Advice on a cache that misses more often than it hits, and so costs more than it saves."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding, UsageFigures

LOOKUPS = 200
RATIO = 0.5


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if the hit ratio is below one half, overall or for a key pattern."""
    poor = [usage for usage in facts.patterns if _is_poor(usage)]
    if not poor and _is_poor(facts.usage):
        poor = [facts.usage]
    for usage in poor[:5]:
        what = "reads" if usage.name == "all" else f"reads of {usage.name}"
        yield Finding(
            "low_hit_ratio",
            2,
            f"most {what} find nothing",
            f"about {usage.misses} of {usage.hits + usage.misses} lookups missed",
            "keep values longer (a larger `ex=`), or cache the absence too; if the keys are evicted, raise `maxmemory`",
            {"hits": usage.hits, "misses": usage.misses},
        )


def _is_poor(usage: UsageFigures) -> bool:
    return usage.hits + usage.misses >= LOOKUPS and usage.hit_ratio is not None and usage.hit_ratio < RATIO
