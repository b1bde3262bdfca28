"""The public types of reports, alerts and pools, for annotations in programs that use redispan.

The records are frozen: redispan makes them, programs read them. ``redispan.reports.schemas()`` describes the same
reports as JSON schemas.
"""

from __future__ import annotations

from redispan._core.pool_sources import PoolStats
from redispan._core.records import Alert
from redispan._insight.latency import Latency
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
from redispan._insight.report_records import CacheReport, HealthReport, PerformanceReport, PoolReport, Report

__all__ = [
    "Alert",
    "BaselineFigures",
    "CacheReport",
    "Check",
    "CommandFigures",
    "EndpointFigures",
    "Finding",
    "HealthReport",
    "Latency",
    "PerformanceReport",
    "PoolFigures",
    "PoolReport",
    "PoolStats",
    "Reason",
    "Report",
    "ServerFigures",
    "Totals",
    "UsageFigures",
    "WorkFigures",
]
