"""The four reports, each built from the snapshot of one process or from the merged snapshot of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redispan._insight.baseline_figures import baselines_of
from redispan._insight.facts import Facts, iso
from redispan._insight.findings import find
from redispan._insight.health import judge
from redispan._insight.report_records import SCHEMA_VERSION, CacheReport, HealthReport, PerformanceReport, PoolReport

SLOWEST_SHOWN = 20

Snapshot = Mapping[str, Any]


def performance(snapshot: Snapshot, *, scope: str = "process", missing: Sequence[int] = ()) -> PerformanceReport:
    """Build the performance report, the comprehensive one."""
    facts = Facts(snapshot)
    health = judge(facts)
    alerts = snapshot["alerts"]
    started = [process["started_unix_ns"] for process in snapshot["processes"]]
    return PerformanceReport(
        **_head(facts, scope, missing),
        window_size=snapshot["window_size"],
        since=iso(min(started)) if started else "",
        status=health.status,
        score=health.score,
        reasons=health.reasons,
        window=facts.window,
        totals=facts.totals,
        endpoints=facts.endpoints,
        commands=facts.commands,
        blocking=facts.blocking,
        error_types=facts.error_types,
        baselines=baselines_of(snapshot.get("baselines", ())),
        slow=tuple(sorted(snapshot["slow"], key=lambda found: -found["duration_ms"])[:SLOWEST_SHOWN]),
        alert_counts=dict(alerts["counts"]),
        alerts_firing=tuple(alerts["firing"]),
        alert_history=tuple(alerts["history"]),
        pools=facts.pools,
        servers=facts.servers,
        works=facts.works,
        recommendations=find(facts),
    )


def health(snapshot: Snapshot, *, scope: str = "process", missing: Sequence[int] = ()) -> HealthReport:
    """Build the health report."""
    facts = Facts(snapshot)
    judged = judge(facts)
    return HealthReport(
        **_head(facts, scope, missing),
        status=judged.status,
        score=judged.score,
        reasons=judged.reasons,
        checks=judged.checks,
        recent=facts.recent,
        pools=facts.pools,
        servers=facts.servers,
        alerts=tuple(alert["message"] for alert in snapshot["alerts"]["firing"]),
    )


def pools(snapshot: Snapshot, *, scope: str = "process", missing: Sequence[int] = ()) -> PoolReport:
    """Build the report on connection pools."""
    facts = Facts(snapshot)
    return PoolReport(**_head(facts, scope, missing), pools=facts.pools, recommendations=find(facts, "pool"))


def cache(snapshot: Snapshot, *, scope: str = "process", missing: Sequence[int] = ()) -> CacheReport:
    """Build the report on cache patterns."""
    facts = Facts(snapshot)
    usage = facts.usage
    both = usage.reads + usage.writes
    return CacheReport(
        **_head(facts, scope, missing),
        commands={figures.command: figures.totals.operations for figures in facts.commands},
        read_share=usage.reads / both if both else None,
        hit_ratio=usage.hit_ratio,
        sampled=snapshot["cache"]["sampled"],
        families=facts.families,
        patterns=facts.patterns,
        patterns_shown=bool(snapshot["cache"].get("patterns_shown")),
        recommendations=find(facts, "cache"),
    )


def _head(facts: Facts, scope: str, missing: Sequence[int]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "generated_at": iso(facts.now_ns),
        "scope": scope,
        "processes": tuple(process["pid"] for process in facts.snapshot["processes"]),
        "missing": tuple(missing),
    }
