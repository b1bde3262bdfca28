"""A minimal client to set up servers, so that no instrumented library takes part in the set-up."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any


class ReplyError(Exception):
    """The server answered with an error."""


@contextlib.contextmanager
def _connected(address: tuple[str, int] | str, tls: ssl.SSLContext | None, timeout_s: float) -> Iterator[socket.socket]:
    unix = isinstance(address, str)
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(address)
        if tls is None:
            yield connection
            return
        with tls.wrap_socket(connection, server_hostname="localhost") as secured:
            yield secured


def call(
    address: tuple[str, int] | str, *commands: tuple[Any, ...], tls: ssl.SSLContext | None = None, timeout_s: float = 10
) -> list[Any]:
    """Send ``commands`` on one new connection and return their replies; an error reply is returned, not raised."""
    with _connected(address, tls, timeout_s) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"".join(_encoded(command) for command in commands))
        return [_read_reply(stream) for _ in commands]


def _encoded(command: tuple[Any, ...]) -> bytes:
    parts = [part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogateescape") for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def _read_reply(stream: Any) -> Any:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the server closed the connection")
    kind, rest = line[:1], line[1:-2].decode("utf-8", "replace")
    if kind == b"-":
        return ReplyError(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode(errors="surrogateescape")
    if kind == b"*":
        return None if rest == "-1" else [_read_reply(stream) for _ in range(int(rest))]
    return rest
