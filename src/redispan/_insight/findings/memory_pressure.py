"""Memory of servers is nearly full."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.few_of_many import NAMED, few_of
from redispan._insight.report_figures import Finding

_RAISE = "raise `maxmemory`, or set times to live on what is cached"
_EVICT = "`CONFIG SET maxmemory-policy allkeys-lru` for a cache; raise `maxmemory` for data that must stay"


def look(facts: Facts) -> Iterator[Finding]:
    """Memory usage is above its threshold: one finding for all servers, that names the fullest."""
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
        names = few_of([f"{server.endpoint} {share:.0%}" for share, server in full])
        what = f"{len(full)} servers use more than {limit:.0%} of their memory: {names}"
    yield Finding(
        "memory_pressure",
        3,
        what,
        "; ".join(
            f"{server.used_memory_bytes} of {server.memory_limit_bytes} bytes, read at {server.at}"
            for _, server in full[:NAMED]
        ),
        change,
        {"memory_usage": fullest, "servers": len(full)},
    )
