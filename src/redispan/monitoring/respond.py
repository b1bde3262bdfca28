"""The answers to requests: ``respond``, a pure function of method, path, query and the reports."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl

from redispan.monitoring.openapi import document
from redispan.monitoring.page import PAGE, POLICY

PREFIX = "/monitoring/redis"
REPORTS = ("performance", "connection-pool", "cache-patterns", "health")
DATA = (*REPORTS, "page-data")
OPEN = ("", "live", "openapi.json")
"""Endpoints that need no token, because they hold no figures.

A liveness probe has no token, and the page asks its reader for the token.
"""
SCOPES = ("host", "process")
METHODS = ("GET", "HEAD")

_JSON = "application/json"
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Sources(Protocol):
    """The source of the reports."""

    def report(self, name: str, scope: str) -> Mapping[str, Any]:
        """Return a report as plain data.

        Args:
            name: One of ``DATA``.
            scope: One of ``SCOPES``.
        """


@dataclass(frozen=True)
class Response:
    """An answer, ready to be sent.

    Attributes:
        status: The status code.
        headers: The headers, without ``Content-Length``.
        body: The body.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def respond(
    method: str, path: str, query: str, sources: Sources, *, token: str = "", authorization: str = ""
) -> Response:
    """Answer a request. Never raises.

    Args:
        method: The HTTP method, such as ``GET``.
        path: The path below the mount point, with or without the prefix ``/monitoring/redis``.
        query: The raw query string.
        sources: Returns the reports.
        token: The bearer token that the request must carry; empty for none.
        authorization: The ``Authorization`` header of the request.
    """
    try:
        answer = _respond(method, path, query, sources, token, authorization)
    except Exception as fault:
        # Only the class is sent: the message may hold a URL of the program's.
        answer = problem(500, f"the report could not be made: {type(fault).__name__}")
    return Response(answer.status, answer.headers, b"") if method == "HEAD" else answer


def _respond(method: str, path: str, query: str, sources: Sources, token: str, authorization: str) -> Response:
    name = _name_of(path)
    if name is None:
        last = path.rpartition("/")[2]
        return Response(308, {"Location": f"{last}/", "Cache-Control": "no-store"})
    if name not in DATA and name not in OPEN:
        return problem(404, f"there is {', '.join((*DATA, *OPEN[1:]))} below {PREFIX}/, and the page there")
    if method not in METHODS:
        return problem(405, "redispan only reads", {"Allow": ", ".join(METHODS)})
    if name in DATA and not allowed(token, authorization):
        return problem(401, "a bearer token is needed", {"WWW-Authenticate": 'Bearer realm="redispan"'})
    if name in OPEN:
        return _refused(query, ()) or _open(name)
    refused = _refused(query, ("scope",))
    if refused is not None:
        return refused
    found = sources.report(name, dict(parse_qsl(query)).get("scope", "host"))
    unwell = name == "health" and found["status"] == "unhealthy"
    return _json(found, 503 if unwell else 200)


def _name_of(path: str) -> str | None:
    """Return the endpoint's name: the path below the prefix.

    The prefix without a slash gives None, because relative links of the page would be wrong there.
    """
    if path.startswith(PREFIX):
        path = path[len(PREFIX) :]
        if not path:
            return None
    return path.removeprefix("/")


def _refused(query: str, known: tuple[str, ...]) -> Response | None:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=10)
    except ValueError:
        return problem(400, "the query is not well-formed")
    seen: set[str] = set()
    for name, value in pairs:
        if name not in known:
            return problem(400, f"no such parameter; there is {', '.join(known) or 'none'}")
        if name in seen:
            return problem(400, f"{name} is given twice")
        if value not in SCOPES:
            return problem(400, f"scope is {' or '.join(SCOPES)}")
        seen.add(name)
    return None


def _open(name: str) -> Response:
    if name == "live":
        return _json({"status": "alive"})
    if name == "openapi.json":
        return _json(document(DATA))
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY, **_COMMON}
    return Response(200, headers, PAGE)


_COMMON = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def _json(found: Any, status: int = 200, kind: str = _JSON, more: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(found, allow_nan=False, separators=(",", ":"), default=list).encode()
    return Response(status, {"Content-Type": kind, **_COMMON, **(more or {})}, body)


def problem(status: int, detail: str, more: Mapping[str, str] | None = None) -> Response:
    """Return an error response with problem details (RFC 9457).

    Args:
        status: The status code.
        detail: The reason, in words.
        more: Further headers.
    """
    found = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail}
    return _json(found, status, "application/problem+json", more)


def allowed(token: str, authorization: str) -> bool:
    """Return whether the header carries the token, or no token is needed."""
    if not token:
        return True
    scheme, _, shown = authorization.strip().partition(" ")
    matches = hmac.compare_digest(shown.strip().encode("utf-8", "replace"), token.encode("utf-8", "replace"))
    return scheme.lower() == "bearer" and matches
