"""The reports over HTTP: ``asgi_app()``, ``wsgi_app()``, ``serve(port=...)``, and the monitoring page.

URLs, status codes and the look of the page belong here. The reports decide what a figure means. The pure function
``respond`` decides the answer to a request; the apps and the server only pass requests and answers on.

This package is not ``redispan.monitor``, which measures one named piece of work in the program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redispan.monitoring.server import MonitoringServer

__all__ = ["asgi_app", "serve", "wsgi_app"]


def asgi_app(*, token: str = "") -> Any:
    """Return an ASGI app to mount: ``app.mount("/monitoring/redis", redispan.monitoring.asgi_app())``.

    Args:
        token: The bearer token that requests for reports must carry. Without one, the surrounding program decides who
            may read them.
    """
    from redispan.monitoring.asgi import AsgiApp
    from redispan.monitoring.sources import ReportSources

    return AsgiApp(ReportSources(), token)


def wsgi_app(*, token: str = "") -> Any:
    """Return a WSGI app to mount: the WSGI version of ``asgi_app``.

    Args:
        token: As in ``asgi_app``.
    """
    from redispan.monitoring.sources import ReportSources
    from redispan.monitoring.wsgi import WsgiApp

    return WsgiApp(ReportSources(), token)


def serve(port: int = 0, host: str = "127.0.0.1", token: str = "") -> MonitoringServer:
    """Serve the page and the endpoints from a background thread of this process.

    Args:
        port: The port; 0 takes a free one, which is then the ``port`` of the result.
        host: The address to listen on.
        token: The bearer token that requests for reports must carry; empty for none.

    Returns:
        The running server; ``close()`` stops it.

    Raises:
        ValueError: ``host`` is a wider address than loopback, and there is no token.
        OSError: The port is taken.
    """
    from redispan.monitoring.server import MonitoringServer
    from redispan.monitoring.sources import ReportSources

    server = MonitoringServer(ReportSources(), host=host, port=port, token=token)
    server.start()
    return server
