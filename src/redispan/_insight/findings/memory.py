"""Advice on servers whose memory is nearly full, or soon will be. One record covers all such servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

_NAMED = 3
_RAISE = "raise `maxmemory`, or set times to live on what is cached"
_EVICT = "`CONFIG SET maxmemory-policy allkeys-lru` for a cache; raise `maxmemory` for data that must stay"
_SOON_H = 24.0
_VERY_SOON_H = 3.0


def look_at_usage(facts: Facts) -> Iterator[Finding]:
    """Advise if memory usage is above its threshold. One record covers all servers and names the fullest ones."""
    limit = facts.thresholds["memory_usage"] or 0.8
    used = [(server.memory_usage, server) for server in facts.servers if server.memory_usage is not None]
    full = sorted((one for one in used if one[0] > limit), key=lambda one: (-one[0], one[1].endpoint))
    if not full:
        return
    keeping = sum(server.figures.get("maxmemory_policy") == "noeviction" for _, server in full)
    change = _RAISE
    if keeping == len(full):
        change = _EVICT
    elif keeping:
        change = f"{_RAISE}; on the {keeping} whose `maxmemory-policy` is noeviction: {_EVICT}"
    fullest, server = full[0]
    what = f"{server.endpoint} uses {fullest:.0%} of its memory"
    if len(full) > 1:
        names = _few_of([f"{server.endpoint} {share:.0%}" for share, server in full])
        what = f"{len(full)} servers use more than {limit:.0%} of their memory: {names}"
    yield Finding(
        "memory_pressure",
        3,
        what,
        "; ".join(
            f"{server.used_memory_bytes} of {server.memory_limit_bytes} bytes, read at {server.at}"
            for _, server in full[:_NAMED]
        ),
        change,
        {"memory_usage": fullest, "servers": len(full)},
    )


def look_at_growth(facts: Facts) -> Iterator[Finding]:
    """Advise if a server reaches its memory limit within a day, at its growth rate of the last two hours.

    Servers above the threshold of memory usage are left out, because ``look_at_usage`` covers them. One record covers
    all servers and names those that are full first.
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
        names = _few_of([f"{server.endpoint} {_in(hours)}" for hours, _, server in growing])
        what = f"{len(growing)} servers will have used up their memory within a day: {names}"
    yield Finding(
        "memory_forecast",
        3 if hours <= _VERY_SOON_H else 2,
        what,
        "; ".join(
            f"it grows by {pace / 2**20:.1f} MiB an hour; {server.used_memory_bytes} of {server.memory_limit_bytes} "
            f"bytes, read at {server.at}"
            for _, pace, server in growing[:_NAMED]
        ),
        "set times to live on what is written, or raise `maxmemory`; `redis-cli --memkeys` names the largest keys",
        {"full_in_h": round(hours, 2), "growth_bytes_per_h": round(pace), "servers": len(growing)},
    )


def _in(hours: float) -> str:
    return f"in about {hours:.0f} h" if hours >= 1 else "within the hour"


def _few_of(phrases: Sequence[str]) -> str:
    """Join the first three phrases and count the rest, so that a cluster of a hundred nodes fits on one line."""
    rest = len(phrases) - _NAMED
    shown = ", ".join(phrases[:_NAMED])
    return f"{shown} and {rest} more" if rest > 0 else shown
