"""The WSGI app around ``respond``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from redispan.monitoring.respond import Sources, respond


class WsgiApp:
    """A WSGI app that can be mounted anywhere."""

    def __init__(self, sources: Sources, token: str = "") -> None:
        """Create the app.

        Args:
            sources: Returns the reports.
            token: The bearer token that requests for reports must carry; empty for none.
        """
        self._sources = sources
        self._token = token

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO") or environ.get("SCRIPT_NAME", "")
        answer = respond(
            environ.get("REQUEST_METHOD", "GET"),
            path if environ.get("PATH_INFO") else _mount_itself(path),
            environ.get("QUERY_STRING", ""),
            self._sources,
            token=self._token,
            authorization=environ.get("HTTP_AUTHORIZATION", ""),
        )
        headers = [*answer.headers.items(), ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [answer.body]


def _mount_itself(script_name: str) -> str:
    """Return the path for a request to the mount point without a slash: the prefix, which ``respond`` redirects."""
    from redispan.monitoring.respond import PREFIX

    return PREFIX if script_name else "/"
