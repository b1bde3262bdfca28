"""A redis-py connection whose server is a few lines of Python: what is left is the client's own cost."""

from __future__ import annotations

import redis


class CannedSocket:
    """Answers every command that is written with one canned reply."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._pending = 0

    def sendall(self, data: bytes) -> None:
        # Every command starts with an array header at the start of the buffer or after a line end.
        self._pending += data.count(b"\r\n*") + (1 if data[:1] == b"*" else 0)

    def recv_into(self, buffer: bytearray) -> int:
        answer = self._take()
        buffer[: len(answer)] = answer
        return len(answer)

    def recv(self, size: int) -> bytes:
        return self._take()

    def _take(self) -> bytes:
        if not self._pending:
            raise BlockingIOError
        count = min(self._pending, 1000)
        self._pending -= count
        return self._reply * count

    def settimeout(self, seconds: float | None) -> None: ...

    def setblocking(self, flag: bool) -> None: ...

    def shutdown(self, how: int) -> None: ...

    def close(self) -> None: ...

    def getpeername(self) -> tuple[str, int]:
        return "127.0.0.1", 6379

    def fileno(self) -> int:
        return -1


class InMemoryConnection(redis.Connection):
    """A sync connection to ``CannedSocket``."""

    def _connect(self) -> CannedSocket:
        return CannedSocket(b"+OK\r\n")

    def on_connect(self) -> None:
        self._parser.on_connect(self)

    def on_connect_check_health(self, check_health: bool = True) -> None:
        self._parser.on_connect(self)

    def can_read(self, timeout: float = 0) -> bool:
        return False


def in_memory_client() -> redis.Redis:
    """A client on that connection."""
    pool = redis.ConnectionPool(connection_class=InMemoryConnection, host="localhost", port=6379, protocol=2)
    return redis.Redis(connection_pool=pool)
