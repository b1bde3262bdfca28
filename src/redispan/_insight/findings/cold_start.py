"""Advice to warm the cache, because many of a process's first reads miss."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

MISSES = 100
SHARE = 0.5


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if at least half of all misses, and at least 100, are among the first operations of a process."""
    usage = facts.usage
    if usage.early_misses < MISSES or usage.early_misses < SHARE * usage.misses or not usage.hits:
        return
    where = next((found.name for found in facts.patterns if found.early_misses >= usage.early_misses / 2), None)
    keys = f" ({where})" if where else ""
    yield Finding(
        "cold_start",
        1,
        "most misses happen right after the start",
        f"{usage.early_misses} of {usage.misses} misses were among a process's first operations",
        f"load the keys that are read first{keys} before taking traffic, in one pipeline",
        {"early_misses": usage.early_misses, "misses": usage.misses},
    )
