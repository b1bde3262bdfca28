"""One process's end: a UNIX socket in the private folder; whoever connects gets the summary and the connection ends."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from redispan._host.folder import short_address

_log = logging.getLogger("redispan")

SUFFIX = ".sock"
_WAITING_ASKERS = 16
_SENDING_S = 1.0


class SnapshotServer:
    """Answers on a socket of its own, on the thread of whoever calls ``serve``."""

    def __init__(self, path: Path, answer: Callable[[], bytes]) -> None:
        """Prepare to answer; nothing is opened yet.

        Args:
            path: The socket's path.
            answer: Makes the answer, anew for each asker.
        """
        self._path = path
        self._answer = answer
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Start to listen."""
        self.close()
        # A file of this name can only be what a process of the same id left behind.
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with short_address(self._path) as address:
                listening.bind(address)
            listening.listen(_WAITING_ASKERS)
        except OSError:
            listening.close()
            raise
        self._socket = listening

    def serve(self, seconds: float) -> None:
        """Answer whoever comes within ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            left_s = deadline - time.monotonic()
            listening = self._socket
            if left_s <= 0 or listening is None:
                return
            try:
                listening.settimeout(left_s)
                asker, _ = listening.accept()
            except TimeoutError:
                return
            except OSError:
                return
            self._send(asker)

    def _send(self, asker: socket.socket) -> None:
        with asker:
            try:
                asker.settimeout(_SENDING_S)
                asker.sendall(self._answer())
            except OSError:
                pass  # it asked and went: nothing is owed
            except Exception as fault:
                _log.debug("redispan: no summary for a sibling: %s", type(fault).__name__)

    def freshen(self) -> None:
        """Listen anew if somebody swept the folder, and keep the file too young for sweepers."""
        try:
            os.utime(self._path)
        except FileNotFoundError:
            self.open()

    def close(self) -> None:
        """Listen no more; the file stays."""
        listening, self._socket = self._socket, None
        if listening is not None:
            try:
                # Wakes the thread that waits in accept(), which closing alone does not.
                listening.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # macOS refuses it for a listening socket; the thread then ends within its beat
            listening.close()

    def close_copy(self) -> None:
        """Close the copy of the parent's socket in a forked child; the parent goes on listening."""
        listening, self._socket = self._socket, None
        if listening is not None:
            listening.close()

    def leave(self) -> None:
        """Listen no more, and take the file away."""
        self.close()
        self._path.unlink(missing_ok=True)
