"""The WSGI shell around ``respond``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from redispan.monitoring.respond import Sources, respond


class WsgiApp:
    """A WSGI app, to be mounted anywhere."""

    def __init__(self, sources: Sources, token: str = "") -> None:
        """Wire the app.

        Args:
            sources: Asked for the reports.
            token: Bearer token that reports ask for.
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
    """Where the app is mounted, asked for without a slash: told as the prefix, so that it is redirected."""
    from redispan.monitoring.respond import PREFIX

    return PREFIX if script_name else "/"
