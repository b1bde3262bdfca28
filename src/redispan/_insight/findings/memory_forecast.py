"""The server's memory will be full before long."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

_SOON_H = 24.0
_VERY_SOON_H = 3.0


def look(facts: Facts) -> Iterator[Finding]:
    """At the pace of the last hours the limit is less than a day away; once it is near, another finding says so."""
    near = facts.thresholds["memory_usage"] or 0.8
    for server in facts.servers:
        hours, pace = server.memory_full_in_h, server.memory_growth_bytes_per_h
        if hours is None or pace is None or hours > _SOON_H or (server.memory_usage or 0.0) > near:
            continue
        when = f"in about {hours:.0f} h" if hours >= 1 else "within the hour"
        used = f"{server.used_memory_bytes} of {server.memory_limit_bytes} bytes, read at {server.at}"
        yield Finding(
            "memory_forecast",
            3 if hours <= _VERY_SOON_H else 2,
            f"{server.endpoint} will have used up its memory {when}",
            f"it grows by {pace / 2**20:.1f} MiB an hour; {used}",
            "set times to live on what is written, or raise `maxmemory`; `redis-cli --memkeys` names the largest keys",
            {"full_in_h": round(hours, 2), "growth_bytes_per_h": round(pace)},
        )
