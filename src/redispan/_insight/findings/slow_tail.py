"""Advice on commands of which a few operations take far longer than most."""

from __future__ import annotations

from collections.abc import Iterator

from redispan._insight.facts import Facts
from redispan._insight.report_figures import Finding

MINIMUM = 100
TIMES = 20.0


def look(facts: Facts) -> Iterator[Finding]:
    """Advise if the p99 of a command reaches the threshold of the slow log, and 20 times the median."""
    slow_ms = facts.thresholds["slow_log_ms"] or 10.0
    for figures in facts.commands[:20]:
        window = figures.window
        p50_ms, p99_ms = window.p50_ms, window.p99_ms
        if window.operations < MINIMUM or p50_ms is None or p99_ms is None:
            continue
        if p99_ms < slow_ms or p99_ms < TIMES * p50_ms:
            continue
        yield Finding(
            "slow_tail",
            1,
            f"some {figures.command} take {p99_ms / max(p50_ms, 0.001):.0f} times as long as most",
            f"p50 {p50_ms:.2f} ms, p99 {p99_ms:.1f} ms of the last {window.operations}",
            "look for big keys (`redis-cli --bigkeys`) and for what else the server did (LATENCY LATEST, SLOWLOG GET)",
            {"p50_ms": p50_ms, "p99_ms": p99_ms},
        )
