"""The records of the four reports. docs/statistics.md says when ``SCHEMA_VERSION`` changes."""

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
"""Since 2.0 ``under_target`` is the share that succeeded in less than 100 ms. Up to 1.2 fast failures counted, too."""

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"


@dataclass(frozen=True)
class Report:
    """The fields that every report starts with.

    Attributes:
        schema_version: Version of the report's schema.
        generated_at: Time of the report (ISO 8601).
        scope: ``process`` or ``host``.
        processes: Ids of the processes that the report covers.
        missing: Ids of the processes that did not answer in time.
    """

    schema_version: str
    generated_at: str
    scope: str
    processes: tuple[int, ...]
    missing: tuple[int, ...]

    def as_data(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class HealthReport(Report):
    """The health of Redis, as this program sees it.

    Attributes:
        status: ``healthy``, ``degraded`` or ``unhealthy``.
        score: Health score, 0 to 100.
        reasons: What costs points.
        checks: Figures compared with their thresholds.
        recent: Figures of the operations of the last five minutes.
        pools: Figures of the connection pools.
        servers: Figures of the probed servers.
        alerts: Messages of the alerts that fire now.
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
    """The comprehensive report: statistics, health, alerts and advice.

    Attributes:
        window_size: Number of operations that a window holds.
        since: Start time of the oldest process (ISO 8601).
        status: Status as in the health report.
        score: Score as in the health report.
        reasons: Reasons as in the health report.
        window: Figures of the last operations of all endpoints together.
        totals: Figures of all operations since the start.
        endpoints: Figures by endpoint.
        commands: Figures by command, ordered by total time, the largest first.
        blocking: Figures of the blocking commands. The window, the totals and the other commands exclude them.
        error_types: Number of failures by error type since the start.
        baselines: Baselines learned so far.
        slow: The slowest of the latest slow operations.
        alert_counts: Number of alerts by name since the start.
        alerts_firing: Alerts that fire now.
        alert_history: The latest alerts.
        pools: Figures of the connection pools.
        servers: Figures of the probed servers.
        works: Figures of the monitored runs by name.
        recommendations: Advice on what to change, the most important first.
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
    """The report on connection pools: how full they are, how well they are used, and how large they should be.

    Attributes:
        pools: Figures of every pool of every process.
        recommendations: Advice on what to change about the pools.
    """

    pools: tuple[PoolFigures, ...] = ()
    recommendations: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class CacheReport(Report):
    """The report on how a program uses Redis as a cache.

    Attributes:
        commands: Exact number of operations by command since the start.
        read_share: Share of reads among reads and writes.
        hit_ratio: Share of lookups that found a value.
        sampled: Number of sampled commands. Read share, hit ratio, families and patterns are estimated from them.
        families: Usage by command family.
        patterns: Usage by key pattern, empty unless keys may be shown.
        patterns_shown: Whether keys may be shown.
        recommendations: Advice on what to change.
    """

    commands: Mapping[str, int] = field(default_factory=dict)
    read_share: float | None = None
    hit_ratio: float | None = None
    sampled: int = 0
    families: tuple[UsageFigures, ...] = ()
    patterns: tuple[UsageFigures, ...] = ()
    patterns_shown: bool = False
    recommendations: tuple[Finding, ...] = ()
