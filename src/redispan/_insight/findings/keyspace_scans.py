"""Advice against commands that block the server, such as KEYS, which walks the keyspace while all clients wait."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

_INSTEAD = {
    "KEYS": "use SCAN (`client.scan_iter(match=...)`), which lets others in between",
    "FLUSHALL": "use `FLUSHALL ASYNC`",
    "FLUSHDB": "use `FLUSHDB ASYNC`",
    "MONITOR": "stop MONITOR in production: it halves the server's throughput",
    "SORT": "keep the order in a sorted set instead of sorting on the server at every read",
}


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if the program uses a command that blocks the whole server."""
    for figures in facts.commands:
        change = _INSTEAD.get(figures.command)
        if change is None:
            continue
        yield Finding(
            "keyspace_scans",
            2 if figures.command == "KEYS" else 1,
            f"{figures.command} holds up every other client while it runs",
            f"{figures.totals.operations} times, on average {figures.totals.mean_ms or 0:.1f} ms",
            change,
            {"operations": figures.totals.operations, "mean_ms": figures.totals.mean_ms or 0.0},
        )
