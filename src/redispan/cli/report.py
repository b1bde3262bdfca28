"""Show the reports of the running processes of a service on their Redis: performance, pools, cache, health."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from redispan.settings.table import variable_of

HELP = "show the reports of running processes: performance, pool, cache, health, fleet"

NAMES = {"performance": "performance", "pool": "connection-pool", "cache": "cache-patterns", "health": "health"}
"""The names of the reports on the command line, and their names over HTTP."""

_ABOUT = {
    "performance": "statistics, commands, pools, servers, alerts and advice",
    "pool": "connection pools: utilisation, efficiency, sizing",
    "cache": "how Redis is used as a cache",
    "health": "whether Redis is well; exit code 1 if it is not",
}


class NoReportError(Exception):
    """No process answered with a report; the message says why or what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the reports and their options."""
    kinds = parser.add_subparsers(dest="report", metavar="REPORT", required=True)
    for name, about in _ABOUT.items():
        kind = kinds.add_parser(name, help=about, description=f"Show {about}.")
        kind.add_argument(
            "--url",
            help="monitoring port or mounted app, such as http://127.0.0.1:9464; processes of this host if absent",
        )
        kind.add_argument("--service", help="service.name of those processes; as in the environment by default")
        kind.add_argument("--json", action="store_true", help="print JSON")
        kind.set_defaults(ask=_query)
    from redispan.monitoring import fleet

    kind = kinds.add_parser("fleet", help="all hosts, from a backend that speaks PromQL", description=fleet.__doc__)
    fleet.add_arguments(kind)
    kind.set_defaults(ask=fleet.run)


def run(arguments: argparse.Namespace) -> int:
    """Show the report that was chosen, and return the exit code."""
    ask: Callable[[argparse.Namespace], int] = arguments.ask
    return ask(arguments)


def _query(arguments: argparse.Namespace) -> int:
    from redispan.cli.report_text import as_text

    name = NAMES[arguments.report]
    try:
        found = over_http(arguments.url, name, os.environ) if arguments.url else of_this_host(name, arguments.service)
    except NoReportError as reason:
        print(f"redispan: {reason}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2, default=list) if arguments.json else as_text(name, found))
    return 1 if found.get("status") == "unhealthy" and name == "health" else 0


def over_http(url: str, name: str, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Get a report from a monitoring port.

    Args:
        url: The URL of the port or of the mounted app. ``http://`` and the prefix ``/monitoring/redis`` are optional.
        name: The name of the report over HTTP.
        environ: The environment, which may hold the bearer token.

    Raises:
        NoReportError: The port doesn't answer with a report.
    """
    import urllib.error
    import urllib.request

    from redispan.monitoring.respond import PREFIX

    if "//" not in url:
        url = f"http://{url}"
    scheme, _, place = url.rstrip("/").partition("//")
    if scheme not in ("http:", "https:"):
        raise NoReportError("a monitoring port's URL starts with http:// or https://")
    base = f"{scheme}//{place}" + ("" if "/" in place else PREFIX)
    token = environ.get(variable_of("monitoring_token"), "")
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        f"{base}/{name}", headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            body = answer.read()
    except urllib.error.HTTPError as fault:
        with fault:  # closes the connection
            if fault.code != 503 or name != "health":
                hint = f"; it asks for a token: set {variable_of('monitoring_token')}" if fault.code == 401 else ""
                raise NoReportError(f"the port answers with status {fault.code}{hint}") from fault
            body = fault.read()
    except (OSError, ValueError) as fault:
        raise NoReportError(f"nobody answers there: {getattr(fault, 'reason', fault)}") from fault
    try:
        found: Mapping[str, Any] = json.loads(body)
    except ValueError as fault:
        raise NoReportError("what answers there is no monitoring port of redispan") from fault
    return found


def of_this_host(name: str, service: str | None) -> Mapping[str, Any]:
    """Get a report by querying the processes of a service on this host over their sockets. They need no port.

    Args:
        name: The name of the report over HTTP.
        service: The ``service.name`` of the processes; the one in the environment by default.

    Raises:
        NoReportError: None of the processes answers.
    """
    from redispan._host.folder import service_of
    from redispan._host.member import HostMember
    from redispan._insight import reporting, snapshots

    makers: Mapping[str, Callable[..., Any]] = {
        "performance": reporting.performance,
        "connection-pool": reporting.pools,
        "cache-patterns": reporting.cache,
        "health": reporting.health,
    }
    asking = HostMember(snapshots.empty, snapshots.empty, snapshots.merge)
    asking.service = service or service_of(os.environ, [])
    asking.base = os.environ.get(variable_of("runtime_dir"), "")
    parts, silent = asking.gather() or ([], [])
    if not any(part["processes"] for part in parts):
        shown = "of that name" if not (service or os.environ.get("OTEL_SERVICE_NAME")) else f"of {asking.service!r}"
        raise NoReportError(
            f"no process of a service {shown} answers on this host"
            + (f" ({len(silent)} did not answer in time)" if silent else "")
            + ": give --service as in OTEL_SERVICE_NAME (and run as the same user), or --url"
        )
    found: Mapping[str, Any] = makers[name](snapshots.merge(parts), scope="host", missing=silent).as_data()
    return found
