"""Advice to set times to live, because a cache without them grows until the server runs out of memory."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

SETS = 100
SHARE = 0.5


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if at least half of the SETs have no time to live, in a program that also reads."""
    usage = facts.usage
    sets = usage.lasting_sets + usage.expiring_sets
    if sets < SETS or usage.lasting_sets < SHARE * sets or not usage.hits + usage.misses:
        return
    worst = max(facts.patterns, key=lambda found: found.lasting_sets, default=None)
    keys = f", most of them {worst.name}" if worst is not None and worst.lasting_sets else ""
    yield Finding(
        "lasting_keys",
        2,
        "most keys are set without a time to live",
        f"about {usage.lasting_sets} of {sets} SETs{keys}",
        "give cached values a time to live: `client.set(key, value, ex=3600)`; or let the server evict: "
        "`CONFIG SET maxmemory-policy allkeys-lru`",
        {"lasting_sets": usage.lasting_sets, "sets": sets},
    )
