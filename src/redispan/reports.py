"""The functions that return reports, such as ``performance_report()``, and the gathering of snapshots for them.

Each report is a frozen record. Its ``as_data()`` returns plain data, and ``schemas()`` returns the JSON schemas of that
data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from redispan._insight import reporting, snapshots
from redispan._insight.report_records import CacheReport, HealthReport, PerformanceReport, PoolReport, Report
from redispan._insight.schema import schema_of
from redispan._runtime.runtime import current

Made = TypeVar("Made", bound=Report)


def performance_report(scope: str = "host") -> PerformanceReport:
    """Return the full report: statistics, pools, memory, alerts, recommendations and the health score.

    Args:
        scope: ``host`` for all processes of the service on this host that can be queried; ``process`` for this process
            alone.

    Raises:
        ValueError: The scope is neither ``host`` nor ``process``.
    """
    return _made(reporting.performance, scope)


def connection_pool_report(scope: str = "host") -> PoolReport:
    """Return the report on connection pools: utilisation, efficiency and sizing.

    Args:
        scope: As in ``performance_report``.
    """
    return _made(reporting.pools, scope)


def cache_patterns_report(scope: str = "host") -> CacheReport:
    """Return the report on Redis as a cache: kinds of operations, hits and misses, and recommendations.

    Args:
        scope: As in ``performance_report``.
    """
    return _made(reporting.cache, scope)


def health_report(scope: str = "host") -> HealthReport:
    """Return the report on the health of Redis for this program, with the reasons.

    Args:
        scope: As in ``performance_report``.
    """
    return _made(reporting.health, scope)


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schemas of the reports, by the last part of the report's path over HTTP."""
    return {
        "performance": schema_of(PerformanceReport),
        "connection-pool": schema_of(PoolReport),
        "cache-patterns": schema_of(CacheReport),
        "health": schema_of(HealthReport),
    }


@dataclass(frozen=True)
class Gathered:
    """The snapshots that a report is computed from.

    Attributes:
        scope: The scope that the snapshots really cover: ``process`` if the sibling processes could not be queried.
        parts: One snapshot of each process, that of this process first.
        missing: The ids of the processes that did not reply in time.
    """

    scope: str
    parts: list[dict[str, Any]]
    missing: Sequence[int] = ()

    @property
    def snapshot(self) -> dict[str, Any]:
        """The snapshots merged into one."""
        return snapshots.merge(self.parts)


def gather(scope: str) -> Gathered:
    """Take the snapshot of this process, and query the sibling processes for theirs.

    Args:
        scope: ``host``, or ``process`` for this process alone.

    Raises:
        ValueError: The scope is neither ``host`` nor ``process``.
    """
    if scope not in ("host", "process"):
        raise ValueError(f"scope is 'host' or 'process', not {scope!r}")
    runtime = current()
    runtime.evaluate()
    own = runtime.snapshot()
    found = None if scope == "process" else runtime.gather_others()
    if found is None:
        return Gathered("process", [own])
    others, missing = found
    return Gathered("host", [own, *others], missing)


def _made(make: Callable[..., Made], scope: str) -> Made:
    gathered = gather(scope)
    return make(gathered.snapshot, scope=gathered.scope, missing=gathered.missing)
