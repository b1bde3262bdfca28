"""Advice on failing operations, by their most frequent error type."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

MINIMUM = 20

_CHANGES = {
    "OOM": "raise `maxmemory`, or let the server evict: `CONFIG SET maxmemory-policy allkeys-lru`",
    "WRONGTYPE": "two parts of the program use one key for different types: find them by the span's stack or pattern",
    "NOAUTH": "give the client a password",
    "WRONGPASS": "check user name and password of the client",
    "NOPERM": "grant the commands to the user: `ACL SETUSER <user> +<command> ~<keys>`",
    "READONLY": "the client writes to a replica: connect to the primary, or use Sentinel or a cluster client",
    "LOADING": "wait for the server to load before sending traffic",
    "BUSY": "a script runs too long: `SCRIPT KILL`, then split the script",
    "MISCONF": "the server can't save: check its disk, or `CONFIG SET stop-writes-on-bgsave-error no`",
    "CLUSTERDOWN": "slots of the cluster have no node: `CLUSTER INFO`",
    "TimeoutError": "find out whether the server is slow (SLOWLOG GET) before raising `socket_timeout`",
    "ConnectionError": "check that the server is up and that nothing between closes idle connections",
}


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if the recent error rate is above its threshold."""
    recent = facts.recent
    limit = facts.thresholds["error_rate"] or 0.05
    if recent.operations < MINIMUM or recent.error_rate <= limit:
        return
    kind, count = next(iter(facts.error_types.items()), ("unknown", 0))
    yield Finding(
        "failures",
        3,
        f"{recent.error_rate:.1%} of the recent operations failed",
        f"{recent.errors} of {recent.operations} in the last minutes; most frequent since the start: {kind} ({count})",
        _CHANGES.get(kind.rpartition(".")[2], f"look at the spans with error.type={kind}"),
        {"error_rate": recent.error_rate, "errors": recent.errors, "operations": recent.operations},
    )
