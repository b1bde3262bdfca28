"""The snapshot server of a process: a UNIX socket in the private folder.

The server sends its process's snapshot to each sibling that connects, and closes the connection.
"""

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
    """A server on one UNIX socket. It answers on the thread that calls ``serve``."""

    def __init__(self, path: Path, answer: Callable[[], bytes]) -> None:
        """Prepare the server; nothing is opened yet.

        Args:
            path: The socket's path.
            answer: Returns the snapshot as bytes. The server calls it once per connection.
        """
        self._path = path
        self._answer = answer
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Start listening.

        Raises:
            OSError: The socket could not be opened.
        """
        self.close()
        # A file at this path can only come from an earlier process with the same id.
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
        """Answer the siblings that connect within ``seconds``."""
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
                pass  # the sibling closed the connection before it had the answer
            except Exception as fault:
                _log.debug("redispan: could not make the snapshot for a sibling: %s", type(fault).__name__)

    def freshen(self) -> None:
        """Update the socket file's time stamps, and listen again if the file was removed.

        The new time stamps keep programs that clean up temporary folders from removing the file.
        """
        try:
            os.utime(self._path)
        except FileNotFoundError:
            self.open()

    def close(self) -> None:
        """Stop listening; the file stays."""
        listening = self._socket
        if listening is not None:
            try:
                # Wakes the thread that waits in accept(), which closing alone does not.
                listening.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # macOS refuses it for a listening socket; the thread then ends within its beat
        self.close_copy()

    def close_copy(self) -> None:
        """Close the copy of the parent's socket in a forked child; the parent goes on listening."""
        listening, self._socket = self._socket, None
        if listening is not None:
            listening.close()

    def leave(self) -> None:
        """Stop listening, and remove the file."""
        self.close()
        self._path.unlink(missing_ok=True)
