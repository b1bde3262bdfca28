"""The reports as functions: ``performance_report()``, ``connection_pool_report()`` and the others.

Each returns a frozen record; ``as_data()`` makes plain data of it, whose JSON schema ``schemas()`` knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from redispan._insight import reporting, snapshots
from redispan._insight.report_records import CacheReport, HealthReport, PerformanceReport, PoolReport, Report
from redispan._insight.schema import schema_of
from redispan.insight import INSIGHT

Made = TypeVar("Made", bound=Report)

Gather = Callable[[], tuple[list[dict[str, Any]], int]]
"""Snapshots of the other processes of the service on this host, and how many of them did not answer."""

gather_others: Gather | None = None
"""Set by whoever can ask the other processes; without it the host's truth is this process's."""


def performance_report(scope: str = "host") -> PerformanceReport:
    """Everything: statistics, pools, memory, alerts, recommendations, and the health score.

    Args:
        scope: ``host`` for all processes of the service on this host, as far as they can be asked; or ``process``.
    """
    return _made(reporting.performance, scope)


def connection_pool_report(scope: str = "host") -> PoolReport:
    """Connection pools: utilisation, efficiency, sizing.

    Args:
        scope: As in ``performance_report``.
    """
    return _made(reporting.pools, scope)


def cache_patterns_report(scope: str = "host") -> CacheReport:
    """How Redis is used as a cache: kinds of operations, hits and misses, suggestions.

    Args:
        scope: As in ``performance_report``.
    """
    return _made(reporting.cache, scope)


def health_report(scope: str = "host") -> HealthReport:
    """Whether Redis is well for this program, and why not.

    Args:
        scope: As in ``performance_report``.
    """
    return _made(reporting.health, scope)


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON schemas of the reports, by the last part of their address over HTTP."""
    return {
        "performance": schema_of(PerformanceReport),
        "connection-pool": schema_of(PoolReport),
        "cache-patterns": schema_of(CacheReport),
        "health": schema_of(HealthReport),
    }


def _made(make: Callable[..., Made], scope: str) -> Made:
    if scope not in ("host", "process"):
        raise ValueError(f"scope is 'host' or 'process', not {scope!r}")
    INSIGHT.evaluate()
    own = INSIGHT.snapshot()
    if scope == "process" or gather_others is None:
        return make(own, scope="process", missing=0)
    others, missing = gather_others()
    return make(snapshots.merge([own, *others]), scope="host", missing=missing)
