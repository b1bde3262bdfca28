"""A small HTTP server on a daemon thread, for programs without one. Standard library only."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from redispan.monitoring.respond import PREFIX, Response, Sources, problem, respond
from redispan.version import __version__

_log = logging.getLogger("redispan")

_READING_S = 5.0
_AT_ONCE = 16
"""The most requests in progress. More are refused, so that a port scan can't exhaust the program's memory."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class MonitoringServer:
    """The monitoring endpoints on a port of this process.

    Attributes:
        host: The address it listens on.
        port: The port, once it listens.
    """

    def __init__(self, sources: Sources, *, host: str = "127.0.0.1", port: int = 0, token: str = "") -> None:
        """Prepare the server; nothing is opened yet.

        Args:
            sources: Returns the reports.
            host: The address to listen on.
            port: The port; 0 takes a free one.
            token: The bearer token that requests for reports must carry; empty for none.

        Raises:
            ValueError: ``host`` is a wider address than loopback, and there is no token.
        """
        if not is_loopback(host) and not token:
            raise ValueError(f"listening on {host} needs a bearer token (monitoring_token): reports are not for all")
        self.host = host
        self.port = port
        self._sources = sources
        self._token = token
        self._server: _Server | None = None
        self._pid = 0

    @property
    def url(self) -> str:
        """The URL of the monitoring page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{PREFIX}/"

    @property
    def running(self) -> bool:
        """Whether this process has the port."""
        return self._server is not None and self._pid == os.getpid()

    def start(self) -> None:
        """Open the port, and answer requests from a daemon thread.

        Raises:
            OSError: The port is taken.
        """
        server = _Server((self.host, self.port), self._sources, self._token)
        self.port = server.server_address[1]
        self._server, self._pid = server, os.getpid()
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.5}, name="redispan-monitoring", daemon=True
        ).start()

    def close(self) -> None:
        """Close the port, and stop the thread."""
        server, self._server = self._server, None
        if server is None:
            return
        if self._pid == os.getpid():
            server.shutdown()
        server.server_close()

    def forget(self) -> None:
        """Close a forked child's copy of the parent's port. Its thread exists only in the parent."""
        server, self._server = self._server, None
        if server is not None:
            server.socket.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], sources: Sources, token: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sources = sources
        self.token = token
        self.loopback_only = is_loopback(address[0])
        self.places = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # This replaces HTTPServer's method, which looks up this host's name in the name service.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except Exception:
            self.places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing, because a client that disconnects does not concern the program."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _READING_S
    server_version = f"redispan/{__version__}"
    sys_version = ""

    def handle_one_request(self) -> None:
        """Answer one request of any method, and close the connection."""
        self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536 or not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self._send(self._answer())
        self.close_connection = True

    def _answer(self) -> Response:
        # DNS rebinding: a web page can point its own host name to 127.0.0.1, and then read the answers of this port.
        name = self.headers.get("Host", "")
        if self.server.loopback_only and not self.server.token and not is_loopback(_without_port(name)):
            return problem(403, "this port answers to the names of this machine only")
        path, _, query = self.path.partition("?")
        return respond(
            self.command,
            path,
            query,
            self.server.sources,
            token=self.server.token,
            authorization=self.headers.get("Authorization", ""),
        )

    def _send(self, answer: Response) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Log nothing, because standard error belongs to the program."""


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
