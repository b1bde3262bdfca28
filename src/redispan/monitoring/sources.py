"""The source of the endpoints' figures: the reports of this process and its siblings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redispan import reports
from redispan._insight.report_records import Report

_MAKERS: Mapping[str, Callable[[str], Report]] = {
    "performance": reports.performance_report,
    "connection-pool": reports.connection_pool_report,
    "cache-patterns": reports.cache_patterns_report,
    "health": reports.health_report,
}


class ReportSources:
    """The reports, made for each request from the current figures."""

    def report(self, name: str, scope: str) -> Mapping[str, Any]:
        """Return the report ``name``, or the page's data, as plain data."""
        if name == "page-data":
            from redispan.monitoring.page_data import page_data

            return page_data(scope)
        return _MAKERS[name](scope).as_data()
