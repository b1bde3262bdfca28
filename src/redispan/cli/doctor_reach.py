"""The check whether Redis and the OTLP endpoints can be reached.

It opens one connection to each, with a timeout of one second, and sends nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from redispan.cli.check_results import Section
from redispan.cli.doctor_environment import otlp_targets

TIMEOUT_S = 1.0

_SCHEME_PORTS = {"http": 80, "https": 443}


def reachability(environ: Mapping[str, str], redis_url: str) -> Section:
    """Connect to Redis and to every OTLP endpoint in effect.

    Args:
        environ: The environment, with OpenTelemetry's variables.
        redis_url: The URL of Redis; empty if there is none to check.
    """
    section = Section("Reachability")
    if redis_url:
        _try(section, "Redis", redis_url, default_port=6379)
    else:
        section.note("Redis", "not tried: give --redis-url, or set REDIS_URL")
    tried: dict[str, str] = {}
    for target in otlp_targets(environ):
        tried.setdefault(target.endpoint, target.protocol)
    for endpoint, protocol in tried.items():
        _try(section, f"OTLP ({protocol})", endpoint, default_port=None)
    return section


def _try(section: Section, what: str, url: str, *, default_port: int | None) -> None:
    # The output is built from host and port only, so that no user, password, path or query is shown.
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        if "@" not in parts.netloc and "@" in url:
            # The password holds a bare slash, and its first half would be read as the host.
            raise ValueError(what)
        if parts.scheme == "unix":
            place, fault = "the UNIX socket", _fault_of_unix(parts.path)
        else:
            host, port = (
                parts.hostname or "localhost",
                parts.port or default_port or _SCHEME_PORTS.get(parts.scheme, 443),
            )
            place, fault = f"{host}:{port}", _fault_of_tcp(host, port)
    except ValueError:
        section.problem(what, "its URL can't be read")
        return
    if fault:
        section.problem(what, f"{place} can't be reached: {fault}")
    else:
        section.ok(what, f"{place} accepts connections")


def _fault_of_tcp(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S):
            return ""
    except OSError as error:
        return _words(error)


def _fault_of_unix(path: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(path)
            return ""
    except OSError as error:
        return _words(error)


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:g} s"
    return error.strerror or type(error).__name__
