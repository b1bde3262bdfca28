"""The records that reports are made of. ``schema_version`` grows as docs/statistics.md says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from redispan._insight.latency import NOTHING, Latency
from redispan._insight.report_figures import (
    BaselineFigures,
    Check,
    CommandFigures,
    EndpointFigures,
    Finding,
    PoolFigures,
    Reason,
    ServerFigures,
    Totals,
    UsageFigures,
    WorkFigures,
)

SCHEMA_VERSION = "2.0"
"""2.0: ``under_target`` is the share that succeeded in less than 100 ms; up to 1.2 what failed at once counted, too."""

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"


@dataclass(frozen=True)
class Report:
    """What every report says first.

    Attributes:
        schema_version: Version of the report's schema.
        generated_at: When (ISO 8601).
        scope: ``process`` or ``host``.
        processes: The processes it covers.
        missing: The processes that did not answer in time.
    """

    schema_version: str
    generated_at: str
    scope: str
    processes: tuple[int, ...]
    missing: tuple[int, ...]

    def as_data(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class HealthReport(Report):
    """Whether Redis is well, for this program.

    Attributes:
        status: ``healthy``, ``degraded`` or ``unhealthy``.
        score: 0 to 100.
        reasons: What costs points.
        checks: Figures held against their thresholds.
        recent: The operations of the last minutes.
        pools: Connection pools.
        servers: Servers, as far as they are probed.
        alerts: What fires now, as sentences.
    """

    status: str = HEALTHY
    score: float = 100.0
    reasons: tuple[Reason, ...] = ()
    checks: tuple[Check, ...] = ()
    recent: Latency = NOTHING
    pools: tuple[PoolFigures, ...] = ()
    servers: tuple[ServerFigures, ...] = ()
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PerformanceReport(Report):
    """Everything: how fast, how often, how well, and what to change.

    Attributes:
        window_size: Operations of a window.
        since: When the oldest process started (ISO 8601).
        status: As in the health report.
        score: As in the health report.
        reasons: As in the health report.
        window: The last operations of all endpoints together.
        totals: All operations since the start.
        endpoints: By endpoint.
        commands: By command, those first that take most time.
        blocking: Blocking commands, which are in none of the other figures.
        error_types: Failures by type since the start.
        baselines: What was learned to be usual, as far as it was learned yet.
        slow: The slowest of the slow operations seen last.
        alert_counts: Alerts since the start by name.
        alerts_firing: What fires now.
        alert_history: The last alerts.
        pools: Connection pools.
        servers: Servers, as far as they are probed.
        works: Named pieces of work.
        recommendations: What to change, the most urgent first.
    """

    window_size: int = 0
    since: str = ""
    status: str = HEALTHY
    score: float = 100.0
    reasons: tuple[Reason, ...] = ()
    window: Latency = NOTHING
    totals: Totals = field(default_factory=Totals)
    endpoints: tuple[EndpointFigures, ...] = ()
    commands: tuple[CommandFigures, ...] = ()
    blocking: tuple[CommandFigures, ...] = ()
    error_types: Mapping[str, int] = field(default_factory=dict)
    baselines: tuple[BaselineFigures, ...] = ()
    slow: tuple[Mapping[str, Any], ...] = ()
    alert_counts: Mapping[str, int] = field(default_factory=dict)
    alerts_firing: tuple[Mapping[str, Any], ...] = ()
    alert_history: tuple[Mapping[str, Any], ...] = ()
    pools: tuple[PoolFigures, ...] = ()
    servers: tuple[ServerFigures, ...] = ()
    works: tuple[WorkFigures, ...] = ()
    recommendations: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class PoolReport(Report):
    """Connection pools: how full, how well used, how large they should be.

    Attributes:
        pools: Every pool of every process.
        recommendations: What to change about them.
    """

    pools: tuple[PoolFigures, ...] = ()
    recommendations: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class CacheReport(Report):
    """How Redis is used as a cache.

    Attributes:
        commands: Operations by command since the start: exact.
        read_share: Share of reads among reads and writes.
        hit_ratio: Share of values that were there.
        sampled: Commands looked at closely; the figures below are estimated from them.
        families: By family of commands.
        patterns: By pattern of keys; empty unless keys may be shown.
        patterns_shown: Whether they may.
        recommendations: What to change.
    """

    commands: Mapping[str, int] = field(default_factory=dict)
    read_share: float | None = None
    hit_ratio: float | None = None
    sampled: int = 0
    families: tuple[UsageFigures, ...] = ()
    patterns: tuple[UsageFigures, ...] = ()
    patterns_shown: bool = False
    recommendations: tuple[Finding, ...] = ()
