"""The server's memory is nearly full."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding


def look(facts: Facts) -> Iterator[Finding]:
    """Memory usage is above its threshold."""
    limit = facts.thresholds["memory_usage"] or 0.8
    for server in facts.servers:
        if server.memory_usage is None or server.memory_usage <= limit:
            continue
        policy = server.figures.get("maxmemory_policy")
        change = "raise `maxmemory`, or set times to live on what is cached"
        if policy == "noeviction":
            change = "`CONFIG SET maxmemory-policy allkeys-lru` for a cache; raise `maxmemory` for data that must stay"
        yield Finding(
            "memory_pressure",
            3,
            f"{server.endpoint} uses {server.memory_usage:.0%} of its memory",
            f"{server.used_memory_bytes} of {server.memory_limit_bytes} bytes, read at {server.at}",
            change,
            {"memory_usage": server.memory_usage},
        )
