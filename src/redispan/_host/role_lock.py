"""A role that only one process of the host has at a time: who serves the port, who probes a server."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: every process has every role
    fcntl = None  # type: ignore[assignment]


class RoleLock:
    """A lock on a file, given up by the system when its holder ends, however it ends.

    A record lock, because those aren't inherited by forked children: a child of the holder never keeps the role alive.
    """

    def __init__(self, path: Path) -> None:
        """Name the role.

        Args:
            path: Its file, made when it is first asked for.
        """
        self._path = path
        self._descriptor: int | None = None
        self._pid = 0

    @property
    def held(self) -> bool:
        """Whether this process has the role."""
        return self._descriptor is not None and self._pid == os.getpid()

    def acquire(self) -> bool:
        """Take the role if it is free; True if this process has it now."""
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
        """Give the role up; in a forked child, close what was inherited of it, which gives up nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
