"""Connections of redis-py whose server is a few lines of Python, so the cost is only the client's own.

Only the socket is replaced. Everything above it, from packing a command to parsing the reply, is redis-py's own code:
redispan's client shells are there, and their cost must be counted.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio

PEER = ("127.0.0.1", 6379)
REPLY = b"$5\r\nvalue\r\n"
"""The answer to everything: a hit, as far as anybody who looks at replies can tell."""

ANSWERS = {
    b"PING": b"+PONG\r\n",
    # The first requests of a cluster client: three masters, and the place of a GET's key.
    b"SLOTS": b"*3\r\n"
    + b"".join(
        b"*3\r\n:%d\r\n:%d\r\n*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$2\r\nn%d\r\n" % (first, last, 7000 + number, number)
        for number, (first, last) in enumerate(((0, 5460), (5461, 10922), (10923, 16383)))
    ),
    b"COMMAND": b"*1\r\n*6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n",
}
_BY_END = {(word + b"\r\n")[-6:]: answer for word, answer in ANSWERS.items()}


class CannedServer:
    """Keep, for one connection, the replies to the commands that were sent and not read yet."""

    def __init__(self) -> None:
        self._said = b""

    def hear(self, data: bytes) -> None:
        """Add the reply to every command in ``data``."""
        # Every command starts with an array header, at the start of the buffer or after a line end.
        self._said += _BY_END.get(data[-6:]) or REPLY * (data.count(b"\r\n*") + (data[:1] == b"*"))

    def say(self, size: int) -> bytes:
        """Return at most ``size`` bytes of the replies."""
        said, self._said = self._said[:size], self._said[size:]
        if not said:
            raise BlockingIOError
        return said


class CannedSocket(CannedServer):
    """A socket with a canned server behind it."""

    def sendall(self, data: bytes) -> None:
        self.hear(data)

    def recv_into(self, buffer: bytearray) -> int:
        said = self.say(len(buffer))
        buffer[: len(said)] = said
        return len(said)

    def recv(self, size: int) -> bytes:
        return self.say(size)

    def settimeout(self, seconds: float | None) -> None: ...

    def setblocking(self, flag: bool) -> None: ...

    def shutdown(self, how: int) -> None: ...

    def close(self) -> None: ...

    def getpeername(self) -> tuple[str, int]:
        return PEER

    def fileno(self) -> int:
        return -1


class CannedStream(CannedServer):
    """Both ends of an asyncio stream with a canned server behind it. No call ever waits there."""

    _buffer = b""  # redis-py checks whether it has data left

    def writelines(self, data: list[bytes]) -> None:
        self.hear(b"".join(data))

    async def drain(self) -> None: ...

    async def read(self, size: int) -> bytes:
        return self.say(size)

    def at_eof(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return PEER if name == "peername" else default

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


class InMemoryConnection(redis.Connection):
    """A sync connection to a canned server."""

    def _connect(self) -> CannedSocket:
        return CannedSocket()

    def on_connect(self) -> None:
        self._parser.on_connect(self)

    def on_connect_check_health(self, check_health: bool = True) -> None:
        self._parser.on_connect(self)

    def can_read(self, timeout: float = 0) -> bool:
        return False


class AsyncInMemoryConnection(redis.asyncio.Connection):
    """An asyncio connection to a canned server."""

    async def _connect(self) -> None:
        self._reader = self._writer = CannedStream()

    async def on_connect(self) -> None:
        self._parser.on_connect(self)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        self._parser.on_connect(self)


def client(port: int = 6379) -> redis.Redis:
    """Return a sync client."""
    return redis.Redis(
        connection_pool=redis.ConnectionPool(
            connection_class=InMemoryConnection, host="localhost", port=port, protocol=2
        )
    )


def async_client() -> redis.asyncio.Redis:
    """Return an asyncio client."""
    pool = redis.asyncio.ConnectionPool(connection_class=AsyncInMemoryConnection, host="localhost", protocol=2)
    return redis.asyncio.Redis(connection_pool=pool)


def cluster_client() -> redis.RedisCluster:
    """Return a client of a cluster of three masters."""
    return redis.RedisCluster.from_url("redis://127.0.0.1:7000", connection_class=InMemoryConnection, protocol=2)
