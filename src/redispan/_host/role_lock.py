"""The lock for a role that one process of the host has at a time: serving the port, or probing a server."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no fcntl: every process gets every role
    fcntl = None  # type: ignore[assignment]


class RoleLock:
    """A lock on a file. The system releases it when its holder ends, however it ends.

    It is a record lock, because forked children don't inherit those: a child of the holder never keeps the role.
    """

    def __init__(self, path: Path) -> None:
        """Name the role; nothing is opened yet.

        Args:
            path: The lock file of the role. The first ``acquire`` creates it.
        """
        self._path = path
        self._descriptor: int | None = None
        self._pid = 0

    @property
    def held(self) -> bool:
        """Whether this process has the role."""
        return self._descriptor is not None and self._pid == os.getpid()

    def acquire(self) -> bool:
        """Take the role if it is free.

        Returns:
            Whether this process has the role now.
        """
        if self.held:
            return True
        self.forget()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if fcntl is not None:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor, self._pid = descriptor, os.getpid()
        return True

    def forget(self) -> None:
        """Give the role up. A forked child closes only its copy of the descriptor, and the parent keeps the role."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
