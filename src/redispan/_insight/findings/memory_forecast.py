"""Memory of servers will be full before long."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.few_of_many import NAMED, few_of
from redispan._insight.report_figures import Finding

_SOON_H = 24.0
_VERY_SOON_H = 3.0


def look(facts: Facts) -> Iterator[Finding]:
    """At the pace of the last hours the limit is less than a day away; once it is near, another finding says so.

    One finding for all servers, that names those that are full first.
    """
    near = facts.thresholds["memory_usage"] or 0.8
    growing = [
        (server.memory_full_in_h, server.memory_growth_bytes_per_h, server)
        for server in facts.servers
        if server.memory_full_in_h is not None
        and server.memory_growth_bytes_per_h is not None
        and server.memory_full_in_h <= _SOON_H
        and (server.memory_usage or 0.0) <= near
    ]
    if not growing:
        return
    growing.sort(key=lambda one: (one[0], one[2].endpoint))
    hours, pace, server = growing[0]
    what = f"{server.endpoint} will have used up its memory {_in(hours)}"
    if len(growing) > 1:
        names = few_of([f"{server.endpoint} {_in(hours)}" for hours, _, server in growing])
        what = f"{len(growing)} servers will have used up their memory within a day: {names}"
    yield Finding(
        "memory_forecast",
        3 if hours <= _VERY_SOON_H else 2,
        what,
        "; ".join(
            f"it grows by {pace / 2**20:.1f} MiB an hour; {server.used_memory_bytes} of {server.memory_limit_bytes} "
            f"bytes, read at {server.at}"
            for _, pace, server in growing[:NAMED]
        ),
        "set times to live on what is written, or raise `maxmemory`; `redis-cli --memkeys` names the largest keys",
        {"full_in_h": round(hours, 2), "growth_bytes_per_h": round(pace), "servers": len(growing)},
    )


def _in(hours: float) -> str:
    return f"in about {hours:.0f} h" if hours >= 1 else "within the hour"
