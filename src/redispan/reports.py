"""The reports as functions: ``performance_report()``, ``connection_pool_report()`` and the others.

Each returns a frozen record; ``as_data()`` makes plain data of it, whose JSON schema ``schemas()`` knows.
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


@dataclass(frozen=True)
class Gathered:
    """What reports are made of.

    Attributes:
        scope: What it covers, in effect.
        parts: One snapshot of each process, this one's first.
        missing: The processes that did not answer in time.
    """

    scope: str
    parts: list[dict[str, Any]]
    missing: Sequence[int] = ()

    @property
    def snapshot(self) -> dict[str, Any]:
        """All of them as one."""
        return snapshots.merge(self.parts)


def gather(scope: str) -> Gathered:
    """Take the snapshot of this process, and ask the others for theirs.

    Raises:
        ValueError: No such scope.
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
