"""The receivers of alerts: a web server that remembers its POST requests, and a mailbox that accepts mail by SMTP."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class _Server:
    """A server on loopback that runs in a thread."""

    def __init__(self, server: socketserver.BaseServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, daemon=True)
        self.port = int(server.server_address[1])

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class Hooks(_Server):
    """Remember path, authorization and JSON document of every POST."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str, Any]] = []
        posted = self.posted

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                posted.append((self.path, self.headers.get("Authorization", ""), document))
                # PagerDuty answers 202, Slack 200 with "ok"; Alertmanager checks both.
                self.send_response(202 if self.path.startswith("/pagerduty") else 200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))

    def at(self, path: str) -> list[Any]:
        """Return the documents that were posted to a path."""
        return [document for where, _, document in self.posted if where == path]


class Mailbox(_Server):
    """Accept mail from any client that logs in, and remember it."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.logins: list[str] = []
        mailbox = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                mailbox._talk(self.rfile, self.wfile)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        super().__init__(server)

    def _talk(self, lines: Any, answers: Any) -> None:
        answers.write(b"220 mailbox\r\n")
        for line in lines:
            word, _, rest = line.decode().strip().partition(" ")
            if word == "EHLO":
                answers.write(b"250-mailbox\r\n250 AUTH PLAIN\r\n")
            elif word == "AUTH":
                self.logins.append(rest)
                answers.write(b"235 welcome\r\n")
            elif word == "DATA":
                answers.write(b"354 go on\r\n")
                text = []
                while (part := lines.readline()) not in (b".\r\n", b""):
                    text.append(part.decode())
                self.mails.append("".join(text))
                answers.write(b"250 taken\r\n")
            elif word == "QUIT":
                answers.write(b"221 bye\r\n")
                return
            else:
                answers.write(b"250 ok\r\n")
