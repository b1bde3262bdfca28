"""The faces of the reports over HTTP: ``asgi_app()``, ``wsgi_app()``, ``serve(port=...)``, and the page.

Here belong addresses, status codes and pixels. What a figure means is decided in the reports; what the answer to a
request is, in one pure function, ``respond``; the apps and the server carry it in and out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redispan.monitoring.server import MonitoringServer

__all__ = ["asgi_app", "serve", "wsgi_app"]


def asgi_app(*, token: str = "") -> Any:
    """An ASGI app to mount: ``app.mount("/monitoring/redis", redispan.monitoring.asgi_app())``.

    Args:
        token: Bearer token that reports ask for; none leaves that to the program around it.
    """
    from redispan.monitoring.asgi import AsgiApp
    from redispan.monitoring.sources import ReportSources

    return AsgiApp(ReportSources(), token)


def wsgi_app(*, token: str = "") -> Any:
    """A WSGI app to mount, likewise.

    Args:
        token: As in ``asgi_app``.
    """
    from redispan.monitoring.sources import ReportSources
    from redispan.monitoring.wsgi import WsgiApp

    return WsgiApp(ReportSources(), token)


def serve(port: int = 0, host: str = "127.0.0.1", token: str = "") -> MonitoringServer:
    """Serve the page and the endpoints from a background thread of this process.

    Args:
        port: The port; 0 takes a free one, which the result tells.
        host: The address to listen on.
        token: Bearer token that reports ask for.

    Raises:
        ValueError: A wider address than loopback, and no token.
        OSError: The port is taken.
    """
    from redispan.monitoring.server import MonitoringServer
    from redispan.monitoring.sources import ReportSources

    server = MonitoringServer(ReportSources(), host=host, port=port, token=token)
    server.start()
    return server
