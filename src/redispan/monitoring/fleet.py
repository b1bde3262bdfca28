"""The report on all processes of all hosts, read from any backend that speaks PromQL.

A process can report only on its own host. The figures of a whole fleet are in the metrics that every process sends, so
this report queries their backend: Prometheus, Mimir, Thanos, VictoriaMetrics. It uses the metrics themselves and not
redispan's recording rules, because a backend may not have those.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from redispan.monitoring.fleet_advice import CRITICAL, WARNING, FleetAdvice, Server, Service, fleet_advice

Sample = tuple[Mapping[str, str], float]
Ask = Callable[[str], Sequence[Sample]]
"""A function that returns the samples of a PromQL expression: pairs of labels and value."""

TIMEOUT_S = 20
SERVICES_SHOWN = SERVERS_SHOWN = 100
"""The most services and servers in a report: the busiest services, and the unreachable servers first."""

_DURATION = 'db_client_operation_duration_seconds_{part}{{db_system_name="redis"{more}}}'


class FleetUnreachableError(RuntimeError):
    """The backend did not answer, or not as a PromQL backend does; the message says which."""


@dataclass(frozen=True)
class FleetReport:
    """The figures of the fleet in the window.

    Attributes:
        window: The PromQL duration that rates are taken over, such as ``5m``.
        services: One entry per ``service.name``, the busiest first.
        services_left_out: How many quieter ones are not listed.
        servers: One entry per Redis server that the Collector scrapes or a program uses, the unreachable first.
        servers_left_out: How many further servers are not listed.
        findings: What deserves attention, the worst first.
    """

    window: str
    services: list[Service] = field(default_factory=list)
    services_left_out: int = 0
    servers: list[Server] = field(default_factory=list)
    servers_left_out: int = 0
    findings: list[FleetAdvice] = field(default_factory=list)

    @property
    def processes(self) -> int:
        """The number of processes of the listed services."""
        return sum(service.processes for service in self.services)

    @property
    def status(self) -> str:
        """The health of the fleet.

        ``unhealthy`` with critical advice, ``degraded`` with a warning, else ``healthy``. ``unknown`` if the backend
        knows no service and no server.
        """
        if not self.services and not self.servers:
            return "unknown"
        severities = {finding.severity for finding in self.findings}
        if CRITICAL in severities:
            return "unhealthy"
        return "degraded" if WARNING in severities else "healthy"

    def as_data(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return {"status": self.status, "processes": self.processes, **asdict(self)}


def fleet_report(ask: Ask, window: str = "5m") -> FleetReport:
    """Query the backend and build the report from its answers.

    Args:
        ask: Returns the samples of one PromQL expression.
        window: The PromQL duration that rates are taken over.
    """
    services = [_service(job, figures) for job, figures in _by_label(ask, _service_queries(window), "job").items()]
    services = [service for service in services if service.processes]
    services.sort(key=lambda service: service.operations_per_s or 0.0, reverse=True)
    shown = services[:SERVICES_SHOWN]
    servers = _servers(ask, window)
    return FleetReport(
        window=window,
        services=shown,
        services_left_out=len(services) - len(shown),
        servers=servers[:SERVERS_SHOWN],
        servers_left_out=max(0, len(servers) - SERVERS_SHOWN),
        findings=fleet_advice(shown, servers[:SERVERS_SHOWN]),
    )


def _servers(ask: Ask, window: str) -> list[Server]:
    figures = _by_label(ask, _server_queries(window), "instance")
    # After a server's end, a backend keeps its own metrics for minutes. What the programs report of it is current.
    for labels, value in ask("max by (server_address, server_port) (redis_server_up_ratio)"):
        name = ":".join(filter(None, (labels.get("server_address"), labels.get("server_port"))))
        figures.setdefault(name, {})["reached"] = value
    servers = [Server(name, **found) for name, found in figures.items()]
    return sorted(servers, key=lambda server: (server.reached != 0, server.name))


def _service_queries(window: str) -> dict[str, str]:
    def rate(part: str, more: str = "") -> str:
        return f"rate({_DURATION.format(part=part, more=more)}[{window}])"

    def quantile_ms(share: float) -> str:
        return f"1000 * histogram_quantile({share}, sum by (job, le) ({rate('bucket')}))"

    one_pool = "sum by (job, instance, db_client_connection_pool_name)"
    used = f'{one_pool} (db_client_connection_count{{db_client_connection_state="used"}})'
    limit = f"{one_pool} (db_client_connection_max)"
    return {
        "processes": f"count by (job) (count by (job, instance) ({_DURATION.format(part='count', more='')}))",
        "operations_per_s": f"sum by (job) ({rate('count')})",
        "errors_per_s": "sum by (job) (" + rate("count", ',error_type!=""') + ")",
        "p50_ms": quantile_ms(0.5),
        "p95_ms": quantile_ms(0.95),
        "p99_ms": quantile_ms(0.99),
        "within_100ms_per_s": (
            # A failed operation does not count, however quick it was. If all failed, the share is 0, not unknown.
            "sum by (job) (" + rate("bucket", ',le="0.1",error_type=""') + ")"
            " or sum by (job) (" + rate("bucket", ',le="0.1"') + ") * 0"
        ),
        "fullest_pool": f"max by (job) ({used} / ({limit} > 0))",
        "connections_used": 'sum by (job) (db_client_connection_count{db_client_connection_state="used"})',
        "waiting": "sum by (job) (db_client_connection_pending_requests)",
        "pool_timeouts_per_s": f"sum by (job) (rate(db_client_connection_timeouts_total[{window}]))",
        "slow_operations": (
            f'sum by (job) (increase(redis_client_alerts_total{{redis_client_alert_name="slow_operation"}}[{window}]))'
        ),
        "telemetry_errors": f"sum by (job) (increase(redis_client_telemetry_errors_total[{window}]))",
    }


def _server_queries(window: str) -> dict[str, str]:
    return {
        "memory_share": "redis_memory_used_bytes / (redis_maxmemory_bytes > 0)",
        "memory_bytes": "redis_memory_used_bytes",
        "clients": "redis_clients_connected",
        "hits_per_s": f"sum by (instance) (rate(redis_keyspace_hits_total[{window}]))",
        "misses_per_s": f"sum by (instance) (rate(redis_keyspace_misses_total[{window}]))",
        "evicted_per_s": f"sum by (instance) (rate(redis_keys_evicted_total[{window}]))",
        "rejected_per_s": f"sum by (instance) (rate(redis_connections_rejected_total[{window}]))",
    }


def _by_label(ask: Ask, queries: Mapping[str, str], label: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for figure, expression in queries.items():
        for labels, value in ask(expression):
            if math.isfinite(value):
                found.setdefault(labels.get(label, ""), {})[figure] = value
    return found


def _service(job: str, figures: dict[str, float]) -> Service:
    operations = figures.get("operations_per_s")
    errors, within = figures.pop("errors_per_s", 0.0), figures.pop("within_100ms_per_s", None)
    busy = bool(operations)
    return Service(
        name=job,
        processes=int(figures.pop("processes", 0)),
        error_share=errors / operations if busy and operations else None,
        within_100ms=within / operations if busy and operations and within is not None else None,
        **figures,
    )


def prometheus(url: str, token: str | None = None) -> Ask:
    """Return a function that queries a PromQL backend.

    Args:
        url: The address of the backend, before ``/api/v1``.
        token: The bearer token, if the backend needs one.

    Raises:
        FleetUnreachableError: ``url`` is no HTTP address. The returned function raises it without a usable answer.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise FleetUnreachableError("the address must begin with http:// or https://")

    def ask(expression: str) -> list[Sample]:
        body = urllib.parse.urlencode({"query": expression}).encode()
        # The scheme is checked above, so S310 does not apply.
        request = urllib.request.Request(f"{url.rstrip('/')}/api/v1/query", body)  # noqa: S310
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310
                result = json.load(reply)["data"]["result"]
            return [(sample["metric"], float(sample["value"][1])) for sample in result]
        except urllib.error.HTTPError as refusal:
            refusal.close()
            raise FleetUnreachableError(f"the backend answered {refusal.code}") from None
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise FleetUnreachableError(f"no usable answer: {type(fault).__name__}") from None

    return ask


def as_text(report: FleetReport) -> str:
    """Return the report as text for a terminal, with one line per service."""
    counts = f"{len(report.services)} services, {report.processes} processes"
    lines = [f"health: {report.status}; {counts}, rates over {report.window}", ""]
    head = ("service", "proc", "op/s", "errors", "p50 ms", "p95 ms", "p99 ms", "<100 ms", "pool", "slow")
    rows = [head, *(_row(service) for service in report.services)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines += [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    if report.services_left_out:
        lines.append(f"... and {report.services_left_out} quieter services")
    lines += [f"server {server.name}: {_server_words(server)}" for server in report.servers]
    if report.servers_left_out:
        lines.append(f"... and {report.servers_left_out} more servers")
    lines.append("")
    lines += [f"{finding.severity}: {finding.text}" for finding in report.findings] or ["nothing needs attention"]
    return "\n".join(lines)


def _server_words(server: Server) -> str:
    if server.reached == 0:
        return "reached by no program"
    words = ["reached"] if server.reached else []
    if server.memory_bytes is not None or server.hit_ratio is not None:
        words += [f"memory {_share(server.memory_share)}", f"hits {_share(server.hit_ratio)}"]
    return ", ".join(words) or "no figures"


def _row(service: Service) -> tuple[str, ...]:
    return (
        service.name,
        str(service.processes),
        _number(service.operations_per_s),
        _share(service.error_share),
        _number(service.p50_ms),
        _number(service.p95_ms),
        _number(service.p99_ms),
        _share(service.within_100ms),
        _share(service.fullest_pool),
        _number(service.slow_operations),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``redispan report fleet``."""
    parser.add_argument(
        "--prometheus", metavar="URL", required=True, help="address of a PromQL backend, before /api/v1"
    )
    parser.add_argument("--window", default="5m", help="PromQL duration that rates are taken over (default: 5m)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the report. The bearer token comes from the environment variable ``PROMETHEUS_TOKEN``.

    Returns:
        The exit code: 0, or 1 when the backend gives no answer.
    """
    try:
        report = fleet_report(prometheus(arguments.prometheus, os.environ.get("PROMETHEUS_TOKEN")), arguments.window)
    except FleetUnreachableError as problem:
        sys.stderr.write(f"redispan report fleet: {problem}\n")
        return 1
    sys.stdout.write((json.dumps(report.as_data(), indent=2) if arguments.json else as_text(report)) + "\n")
    return 0


def main() -> int:
    """Run ``python -m redispan.monitoring.fleet --prometheus URL`` and return its exit code."""
    parser = argparse.ArgumentParser(description="One report over all processes that use Redis.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
