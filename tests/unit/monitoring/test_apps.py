"""The WSGI app, the ASGI app and the server give the same response to a request."""

import asyncio
import json
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from redispan.monitoring.asgi import AsgiApp
from redispan.monitoring.port_holder import PortHolder
from redispan.monitoring.server import MonitoringServer, is_loopback
from redispan.monitoring.wsgi import WsgiApp


class Figures:
    """Sources with one figure."""

    def report(self, name: str, scope: str) -> Mapping[str, Any]:
        return {"status": "healthy", "name": name, "scope": scope}


def through_wsgi(path: str, query: str = "", method: str = "GET", mount: str = "") -> tuple[int, dict[str, str], bytes]:
    """Send a request to the WSGI app."""
    environ: dict[str, Any] = {
        "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method, "SCRIPT_NAME": mount
    }  # fmt: skip
    setup_testing_defaults(environ)
    if not path:
        environ["PATH_INFO"] = ""
    seen: list[Any] = []
    body = b"".join(WsgiApp(Figures())(environ, lambda *start: seen.extend(start)))
    return int(seen[0].split()[0]), dict(seen[1]), body


def through_asgi(path: str, query: str = "", method: str = "GET", root: str = "") -> tuple[int, dict[str, str], bytes]:
    """Send a request to the ASGI app."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "path": path, "query_string": query.encode(), "method": method, "root_path": root,
             "headers": []}  # fmt: skip
    asyncio.run(AsgiApp(Figures())(scope, receive, send))
    headers = {name.decode().title(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


@pytest.fixture
def server() -> Iterator[MonitoringServer]:
    """Start a server on a free port."""
    opened = MonitoringServer(Figures())
    opened.start()
    yield opened
    opened.close()


def through_server(opened: MonitoringServer, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request to a server."""
    request = urllib.request.Request(f"http://127.0.0.1:{opened.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, dict(refused.headers), refused.read()


@pytest.mark.parametrize("path", ["/monitoring/redis/health", "/health", "/nix", "/", "/monitoring/redis/live"])
def test_all_ways_lead_to_the_same_answer(path: str, server: MonitoringServer) -> None:
    """WSGI, ASGI and the server give the same response, with a correct Content-Length."""
    answers = [through_wsgi(path), through_asgi(path), through_server(server, path)]
    assert len({(status, body) for status, _, body in answers}) == 1
    for _, headers, body in answers:
        assert int(headers["Content-Length"]) == len(body)


@pytest.mark.parametrize("ask", [through_wsgi, through_asgi])
def test_a_query_reaches_the_report(ask: Any) -> None:
    """The scope in the query reaches the report."""
    assert json.loads(ask("/performance", "scope=process")[2])["scope"] == "process"


@pytest.mark.parametrize(("path", "root"), [("/mon/health", "/mon"), ("/health", "/mon"), ("/health", "")])
def test_asgi_frameworks_may_leave_the_mount_on_the_path(path: str, root: str) -> None:
    """The ASGI app works under both old and new Starlette, which differ in the path below a mount."""
    assert through_asgi(path, root=root)[0] == 200


def test_a_wsgi_mount_asked_for_without_a_slash_leads_to_the_page() -> None:
    """A request for the mount without a slash leads to the page, whose relative links need the slash."""
    status, headers, _ = through_wsgi("", mount="/monitoring/redis")
    assert (status, headers["Location"]) == (308, "redis/")


def test_a_page_of_the_web_can_not_read_the_port(server: MonitoringServer) -> None:
    """The server refuses host names that were made to point to this machine.

    A web page can trick a browser into using them.
    """
    assert through_server(server, "/performance", Host="evil.example")[0] == 403
    assert through_server(server, "/performance", Host=f"localhost:{server.port}")[0] == 200
    assert through_server(server, "/performance", Host="[::1]")[0] == 200


def test_a_wider_address_needs_a_token() -> None:
    """The server refuses an address beyond loopback without a token, so that no one publishes figures by accident."""
    with pytest.raises(ValueError, match="token"):
        MonitoringServer(Figures(), host="0.0.0.0")
    assert MonitoringServer(Figures(), host="0.0.0.0", token="t").host == "0.0.0.0"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("", False), ("localhost.evil.example", False), ("127.0.0.1.nip.io", False)],
)  # fmt: skip
def test_what_is_loopback(host: str, loopback: bool) -> None:
    """Names that only look like loopback are not accepted as such."""
    assert is_loopback(host) is loopback


def test_garbage_on_the_port_disturbs_nobody(server: MonitoringServer, capfd: pytest.CaptureFixture[str]) -> None:
    """Bytes that are not HTTP end their own connection and print nothing. The server keeps running."""
    for garbage in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"X" * 70_000 + b"\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            client.sendall(garbage)
    assert through_server(server, "/live")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_the_port_changes_hands_when_its_holder_gives_up(tmp_path: Path) -> None:
    """One of two processes has the port. When it closes, the other gets the port at its next try."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first, second = (PortHolder(Figures(), host="127.0.0.1", port=port, token="") for _ in range(2))
    first(tmp_path)
    # A record lock belongs to the process, so within one process only the port itself keeps the second one out.
    second(None)
    assert first._server is not None
    assert second._server is None
    first.close()
    second(tmp_path)
    assert second._server is not None
    second.close()


def test_a_strangers_port_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A port that a foreign program holds is logged once, however often redispan tries it. It is never an error."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        holder = PortHolder(Figures(), host="127.0.0.1", port=stranger.getsockname()[1], token="")
        for _ in range(3):
            holder(tmp_path)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    holder.close()
