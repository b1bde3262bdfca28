"""The figures that reports, health and advice share, each computed once from a snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from redispan._core.lazy_property import lazily
from redispan._insight.latency import Latency, latency_of, rate_per_s
from redispan._insight.memory_trend import full_in_h, growth_bytes_per_s
from redispan._insight.pool_analysis import pool_figures
from redispan._insight.report_figures import (
    CommandFigures,
    EndpointFigures,
    PoolFigures,
    ServerFigures,
    Totals,
    UsageFigures,
    WorkFigures,
)
from redispan._insight.window import COUNT, ERRORS, MAX_NS, SUM_NS, UNDER_TARGET, add_totals

RECENT_NS = 300_000_000_000
"""Health covers the last five minutes, so that an outage that is over does not stay in the score."""
LAST_LOOKED_AT = 5
UNREACHABLE_FOR_NS = 60_000_000_000
_UNREACHABLE = ("ConnectionError", "TimeoutError", "ConnectionRefusedError", "OSError")

Window = list[list[Any]]
END, DURATION, COMMAND, ERROR, WAIT = range(5)


@dataclass(frozen=True)
class Facts:
    """The figures of one snapshot, each computed on first use.

    Attributes:
        snapshot: The snapshot of one process, or of several merged ones.
    """

    snapshot: Mapping[str, Any]

    @lazily
    def now_ns(self) -> int:
        """The time of the snapshot, in nanoseconds since 1970."""
        return int(self.snapshot["taken_unix_ns"])

    @lazily
    def thresholds(self) -> Mapping[str, float]:
        """The thresholds in effect by name, with defaults for those that the snapshot lacks."""
        return {
            "slow_log_ms": 10.0,
            "slow_alert_ms": 50.0,
            "error_rate": 0.05,
            "memory_usage": 0.8,
            "pool_usage": 0.9,
            **self.snapshot["thresholds"],
        }

    @lazily
    def everything(self) -> Window:
        """One window of the newest operations of all endpoints, without blocking commands."""
        size = int(self.snapshot["window_size"])
        found = [entry for endpoint in self.snapshot["endpoints"].values() for entry in endpoint["answers"]["window"]]
        return sorted(found, key=lambda entry: int(entry[END]))[-size:]

    @lazily
    def window(self) -> Latency:
        """The latency figures of the window of all endpoints."""
        return self._latency(self.everything)

    @lazily
    def recent(self) -> Latency:
        """The latency figures of the last five minutes of that window."""
        return self._latency([entry for entry in self.everything if self.now_ns - entry[END] <= RECENT_NS])

    def _latency(self, window: Window, per_s: float | None = None) -> Latency:
        return latency_of(
            [entry[DURATION] for entry in window],
            [entry[DURATION] for entry in window if entry[ERROR] is not None],
            self._per_s(window) if per_s is None else per_s,
            sum(entry[WAIT] for entry in window),
        )

    def _per_s(self, window: Window) -> float:
        full = len(window) >= int(self.snapshot["window_size"])
        return rate_per_s([entry[END] for entry in window], self.now_ns, full=full)

    @lazily
    def table(self) -> dict[str, list[int]]:
        """The totals by command over all endpoints, with command names in upper case."""
        return self._table("answers")

    def _table(self, kind: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for endpoint in self.snapshot["endpoints"].values():
            for command, figures in endpoint[kind]["totals"].items():
                add_totals(found, {command.upper() if command != "_OTHER" else command: figures})
        return found

    @lazily
    def totals(self) -> Totals:
        """The totals of all operations since the start."""
        return totals_of(self.table.values())

    @lazily
    def commands(self) -> tuple[CommandFigures, ...]:
        """The figures by command, ordered by total time, the largest first."""
        return self._commands(self.table, self.everything)

    @lazily
    def blocking(self) -> tuple[CommandFigures, ...]:
        """The figures by blocking command, ordered by total time, the largest first."""
        windows = [entry for found in self.snapshot["endpoints"].values() for entry in found["blocking"]["window"]]
        return self._commands(self._table("blocking"), windows)

    def _commands(self, table: dict[str, list[int]], window: Window) -> tuple[CommandFigures, ...]:
        by_command: dict[str, Window] = {}
        for entry in window:
            by_command.setdefault(str(entry[COMMAND]).upper(), []).append(entry)
        total_ns = sum(figures[SUM_NS] for figures in table.values()) or 1
        # Each command gets its share of the rate of the whole window: the window may span only milliseconds, and a rate
        # computed from the operations of one command alone would be too low.
        per_s_of_one = self._per_s(window) / (len(window) or 1)
        found = []
        for command, figures in table.items():
            own = by_command.get(command, [])
            latency = self._latency(own, per_s_of_one * len(own))
            found.append(CommandFigures(command, latency, totals_of([figures]), figures[SUM_NS] / total_ns))
        return tuple(sorted(found, key=lambda figures: figures.time_share, reverse=True))

    @lazily
    def endpoints(self) -> tuple[EndpointFigures, ...]:
        """The figures of every endpoint that had an operation, ordered by name."""
        return tuple(
            EndpointFigures(
                endpoint=label,
                window=self._latency(found["answers"]["window"]),
                totals=totals_of(found["answers"]["totals"].values()),
                error_types=dict(found["answers"]["error_types"]),
                unreachable=is_unreachable([*found["answers"]["window"], *found["blocking"]["window"]], self.now_ns),
                blocking=totals_of(found["blocking"]["totals"].values()),
            )
            for label, found in sorted(self.snapshot["endpoints"].items())
            if found["answers"]["totals"] or found["blocking"]["totals"]
        )

    @lazily
    def error_types(self) -> Mapping[str, int]:
        """The number of failures by error type since the start, the most frequent first."""
        found: Counter[str] = Counter()
        for endpoint in self.snapshot["endpoints"].values():
            found.update(endpoint["answers"]["error_types"])
            found.update(endpoint["blocking"]["error_types"])
        return dict(found.most_common())

    @lazily
    def pools(self) -> tuple[PoolFigures, ...]:
        """The figures of every connection pool."""
        return tuple(pool_figures(pool) for pool in self.snapshot["pools"])

    @lazily
    def servers(self) -> tuple[ServerFigures, ...]:
        """The figures of every probed server, ordered by name."""
        points = self.snapshot.get("memory", {})
        return tuple(
            _server(found, points.get(name, ()), answered=not found["reachable"] and self._answered_since(found))
            for name, found in sorted(self.snapshot["servers"].items())
        )

    def _answered_since(self, server: Mapping[str, Any]) -> bool:
        """Return whether the server answered the program after the last time the probe read it, or tried to.

        The probe runs only every few seconds. Without this check a server that is back would count as unreachable
        until the next probe.
        """
        return any(
            entry[END] > server["at_unix_ns"] and not _is_no_answer(entry[ERROR])
            for endpoint in self.snapshot["endpoints"].values()
            if (endpoint["address"], endpoint["port"]) == (server["address"], server["port"])
            for kind in ("answers", "blocking")
            for entry in endpoint[kind]["window"]
        )

    @lazily
    def works(self) -> tuple[WorkFigures, ...]:
        """The figures of every monitored run name, ordered by name."""
        return tuple(work_figures(name, found) for name, found in sorted(self.snapshot["works"].items()))

    @lazily
    def families(self) -> tuple[UsageFigures, ...]:
        """The usage by command family, the most used first."""
        return _usages(self.snapshot["cache"]["families"])

    @lazily
    def patterns(self) -> tuple[UsageFigures, ...]:
        """The usage by key pattern, the most used first."""
        return _usages(self.snapshot["cache"]["patterns"])

    @lazily
    def usage(self) -> UsageFigures:
        """The usage of all command families together."""
        summed: Counter[str] = Counter()
        for family in self.snapshot["cache"]["families"].values():
            summed.update(family)
        return _usage("all", dict(summed))


def totals_of(tables: Iterable[list[int]]) -> Totals:
    """Add up the totals of several commands."""
    rows = list(tables)
    operations = sum(row[COUNT] for row in rows)
    if not operations:
        return Totals()
    return Totals(
        operations=operations,
        errors=sum(row[ERRORS] for row in rows),
        mean_ms=sum(row[SUM_NS] for row in rows) / operations / 1e6,
        max_ms=max(row[MAX_NS] for row in rows) / 1e6,
        under_target=sum(row[UNDER_TARGET] for row in rows) / operations,
    )


def is_unreachable(window: Window, now_ns: int) -> bool:
    """Return whether the last operations all failed to reach the server within the last minute.

    Older failures do not count. Otherwise a readiness probe that takes a process out of service would keep it out,
    because no operation could prove that the server is back.

    Args:
        window: The operations of one endpoint, in any order.
        now_ns: The time of the snapshot, in nanoseconds since 1970.
    """
    last = sorted(window, key=lambda entry: int(entry[END]))[-LAST_LOOKED_AT:]
    return (
        bool(last)
        and now_ns - last[-1][END] <= UNREACHABLE_FOR_NS
        and all(_is_no_answer(entry[ERROR]) for entry in last)
    )


def _is_no_answer(error: str | None) -> bool:
    return error is not None and error.rpartition(".")[2] in _UNREACHABLE


def iso(unix_ns: int) -> str:
    """Format a time as ISO 8601 text in UTC, to the millisecond."""
    return datetime.fromtimestamp(unix_ns / 1e9, timezone.utc).isoformat(timespec="milliseconds")


def _server(found: Mapping[str, Any], points: Sequence[Sequence[float]], *, answered: bool) -> ServerFigures:
    limit = found["max_memory_bytes"] or found["host_memory_bytes"]
    used = found["used_memory_bytes"]
    growth = growth_bytes_per_s(points)
    return ServerFigures(
        endpoint=found["endpoint"],
        reachable=found["reachable"] or answered,
        at=iso(found["at_unix_ns"]),
        used_memory_bytes=used,
        memory_limit_bytes=limit,
        memory_usage=used / limit if used is not None and limit else None,
        memory_growth_bytes_per_h=None if growth is None else growth * 3600,
        memory_full_in_h=full_in_h(used, limit, growth),
        figures=dict(found["figures"]),
    )


def work_figures(name: str, found: Mapping[str, Any]) -> WorkFigures:
    """Compute the figures of all monitored runs of one name."""
    totals = totals_of(found["totals"].values())
    runs = found["runs"]
    redis_ns = sum(row[SUM_NS] for row in found["totals"].values())
    return WorkFigures(
        name=name,
        runs=runs,
        failed_runs=found["failed_runs"],
        mean_ms=found["total_ns"] / runs / 1e6 if runs else None,
        max_ms=found["longest_ns"] / 1e6 if runs else None,
        redis_share=redis_ns / found["total_ns"] if found["total_ns"] else None,
        operations_per_run=totals.operations / runs if runs else 0.0,
        totals=totals,
        commands={command: row[COUNT] for command, row in found["totals"].items()},
        error_types=dict(found["error_types"]),
        slowest=tuple((duration_ns / 1e6, command, label) for duration_ns, command, label in found["slowest"]),
    )


def _usages(table: Mapping[str, Mapping[str, float]]) -> tuple[UsageFigures, ...]:
    found = [_usage(name, usage) for name, usage in table.items()]
    return tuple(sorted(found, key=lambda usage: usage.reads + usage.writes, reverse=True))


def _usage(name: str, usage: Mapping[str, float]) -> UsageFigures:
    figures = {key: round(usage.get(key, 0.0)) for key in UsageFigures.__dataclass_fields__ if key in usage}
    asked = usage.get("hits", 0.0) + usage.get("misses", 0.0)
    blank = dict.fromkeys((key for key in UsageFigures.__dataclass_fields__ if key not in ("name", "hit_ratio")), 0)
    return UsageFigures(name=name, hit_ratio=usage["hits"] / asked if asked else None, **{**blank, **figures})
