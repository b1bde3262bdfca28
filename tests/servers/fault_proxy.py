"""A TCP proxy that fails the way networks do: late, cut, half-closed, silent, reset, refused.

Each connection and direction can fail on its own::

    with FaultProxy(server.host, server.port) as proxy:
        client = redis.Redis(port=proxy.port)
        client.ping()
        proxy.connections[0].replies.delay_s = 0.2  # this connection, this direction
        proxy.default.requests.swallow = True  # every later connection: requests vanish
        proxy.refuse()  # no further connections at all
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

CHUNK_BYTES = 65_536


@dataclass
class Faults:
    """The faults of one direction. They may change at any time, also while bytes wait."""

    delay_s: float = 0.0
    """Each chunk waits this long."""
    hold: bool = False
    """Chunks wait until this is False again; nothing is lost."""
    swallow: bool = False
    """Chunks are read and dropped: a black hole that still acknowledges them."""
    cut_after_bytes: int | None = None
    """After so many bytes of this direction, both sides end.

    They end with a reset (RST) if ``cut_with_reset``, and otherwise in the orderly way (FIN).
    """
    cut_with_reset: bool = False
    seen_bytes: int = 0
    outlives_its_source: bool = False
    """The end of this direction's source is not passed on.

    It acts as a load balancer that keeps the other side open for reuse.
    """
    on_chunk: Callable[[bytes], bytes | None] | None = None
    """A function that gets each chunk and returns what to pass on, or None to drop it."""


@dataclass
class Rules:
    """The faults that a new connection starts with."""

    requests: Faults = field(default_factory=Faults)
    replies: Faults = field(default_factory=Faults)


class ProxiedConnection:
    """One client connection and the server connection that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket, rules: Rules) -> None:
        """Pair two sockets. ``start`` begins to pass bytes."""
        self.client = client
        self.server = server
        self.requests = replace(rules.requests)
        self.replies = replace(rules.replies)
        self.closed = threading.Event()
        self._lock = threading.Lock()
        self._ended_directions = 0

    def start(self) -> None:
        """Pass bytes both ways from now on."""
        for source, target, faults in (
            (self.client, self.server, self.requests),
            (self.server, self.client, self.replies),
        ):
            threading.Thread(
                target=self._pump, args=(source, target, faults), daemon=True, name="fault-proxy-pump"
            ).start()

    @property
    def is_open(self) -> bool:
        """False once both sides are closed."""
        return not self.closed.is_set()

    def drop(self) -> None:
        """End both sides in the orderly way (FIN), as a server that shuts down does."""
        self._close(reset=False)

    def reset(self) -> None:
        """End both sides with RST, as a crashed host or a firewall does."""
        self._close(reset=True)

    def half_close_replies(self) -> None:
        """Signal to the client that no reply follows (FIN), while its requests still reach the server."""
        self.client.shutdown(socket.SHUT_WR)

    def black_hole(self) -> None:
        """Drop every byte from now on, both ways, and keep the connection open."""
        self.requests.swallow = self.replies.swallow = True

    def _pump(self, source: socket.socket, target: socket.socket, faults: Faults) -> None:
        try:
            while chunk := source.recv(CHUNK_BYTES):
                passed, cut = self._apply(chunk, faults)
                if passed:
                    target.sendall(passed)
                if cut:
                    self._close(reset=faults.cut_with_reset)
                    return
            # Not while the connection closes, because an orderly end would overtake the reset.
            if self.is_open and not faults.outlives_its_source:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            # One side ended with an error, so end the other side, too.
            if not (faults.outlives_its_source and self.is_open):
                self._close(reset=True)
        with self._lock:
            self._ended_directions += 1
            both_ended = self._ended_directions == 2
        if both_ended:
            self._close(reset=False)

    def _apply(self, chunk: bytes, faults: Faults) -> tuple[bytes | None, bool]:
        if faults.delay_s > 0:
            self.closed.wait(faults.delay_s)
        while faults.hold and not self.closed.wait(0.002):
            pass
        before, faults.seen_bytes = faults.seen_bytes, faults.seen_bytes + len(chunk)
        if faults.swallow:
            return None, False
        limit = faults.cut_after_bytes
        if limit is not None and faults.seen_bytes >= limit:
            return chunk[: max(0, limit - before)], True
        return (chunk if faults.on_chunk is None else faults.on_chunk(chunk)), False

    def _close(self, *, reset: bool) -> None:
        with self._lock:
            if self.closed.is_set():
                return
            self.closed.set()
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                if reset:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    side.shutdown(socket.SHUT_RDWR)
            # A pump that is blocked in recv keeps the descriptor alive, so wake it as well.
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RD)
            with contextlib.suppress(OSError):
                side.close()


class FaultProxy:
    """The proxy: listens on a free loopback port and connects each client to the server behind it."""

    def __init__(self, host: str, port: int) -> None:
        """Describe the server behind the proxy; ``start`` or ``with`` opens the port."""
        self.server_address = (host, port)
        self.host = "127.0.0.1"
        self.port = 0
        self.default = Rules()
        self.connections: list[ProxiedConnection] = []
        self.accepted = 0
        self._changed = threading.Condition()
        self._listener: socket.socket | None = None
        self._silent: list[socket.socket] = []
        self._accept_silently = False

    @property
    def url(self) -> str:
        """A Redis URL through the proxy."""
        return f"redis://{self.host}:{self.port}/0"

    @property
    def open_connections(self) -> list[ProxiedConnection]:
        """The connections that are open now."""
        return [connection for connection in self.connections if connection.is_open]

    def __enter__(self) -> "FaultProxy":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the port: a free one the first time, the same one after ``refuse``."""
        if self._listener is not None:
            return
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(1024)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True, name="fault-proxy-accept").start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self.refuse()
        self.drop_all()
        for client in self._silent:
            client.close()

    def refuse(self) -> None:
        """Close the port: new connections are refused, and open ones stay open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone does not wake a thread that waits in accept.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def accept_silently(self) -> None:
        """Accept new connections, never answer on them, and do not connect them to the server."""
        self._accept_silently = True

    def black_hole(self) -> None:
        """Drop every byte of open and of new connections."""
        self.default.requests.swallow = self.default.replies.swallow = True
        for connection in self.open_connections:
            connection.black_hole()

    def heal(self) -> None:
        """Serve new connections without faults again; connections that have faults keep them."""
        self.default = Rules()
        self._accept_silently = False
        self.start()

    def drop_all(self) -> None:
        """End all open connections in the orderly way."""
        for connection in self.open_connections:
            connection.drop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._take(client)

    def _take(self, client: socket.socket) -> None:
        if self._accept_silently:
            self._silent.append(client)
        else:
            try:
                server = socket.create_connection(self.server_address, timeout=5)
                server.settimeout(None)
            except OSError:
                # This is what a client sees of a dead server behind a load balancer.
                client.close()
                return
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = ProxiedConnection(client, server, self.default)
            # Listed before the first byte passes, so that a caller that got an answer finds the connection here.
            self.connections.append(connection)
            connection.start()
        with self._changed:
            self.accepted += 1
            self._changed.notify_all()


@contextlib.contextmanager
def unreachable_address() -> Iterator[tuple[str, int]]:
    """Yield a loopback address where connecting gets no answer at all, so that only a connect timeout ends it.

    A full accept queue makes Linux ignore further connection requests.
    """
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(8):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        time.sleep(0.05)
        yield address
