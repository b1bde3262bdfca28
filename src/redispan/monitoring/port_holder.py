"""The holder of the monitoring port: one process of a service, and after its end another within a second."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from redispan._host.role_lock import RoleLock
from redispan.monitoring.respond import Sources
from redispan.monitoring.server import MonitoringServer

_log = logging.getLogger("redispan")


class PortHolder:
    """The chore that opens the monitoring port, unless a sibling process has it."""

    def __init__(self, sources: Sources, *, host: str, port: int, token: str) -> None:
        """Set the port; nothing is opened yet.

        Args:
            sources: Returns the reports.
            host: The address to listen on.
            port: The port.
            token: The bearer token that requests for reports must carry; empty for none.
        """
        self._sources, self._token = sources, token
        self._host, self._port = host, port
        self._server: MonitoringServer | None = None
        self._lock: RoleLock | None = None
        self._given_up = False
        self._warned = False

    def __call__(self, folder: Path | None) -> None:
        """Open the port if neither this process nor a sibling has it.

        Args:
            folder: The service's private folder, which holds the port's lock; None if there is none.
        """
        if self._given_up or (self._server is not None and self._server.running):
            return
        if folder is not None:
            if self._lock is None:
                self._lock = RoleLock(folder / f"port-{self._port}.lock")
            if not self._lock.acquire():
                return
        try:
            server = MonitoringServer(self._sources, host=self._host, port=self._port, token=self._token)
            server.start()
        except ValueError as refusal:
            self._given_up = True
            _log.error("redispan: no monitoring port: %s", refusal)
        except OSError as fault:
            self._taken(fault, alone=folder is None)
        else:
            self._server = server

    def _taken(self, fault: OSError, *, alone: bool) -> None:
        if self._lock is not None:
            self._lock.forget()
        # Without a folder, redispan can't tell a sibling that has the port from another program, and logs nothing.
        if not self._warned and not (alone and fault.errno == errno.EADDRINUSE):
            self._warned = True
            _log.warning(
                "redispan: the monitoring port %s:%s can't be opened: %s. It is tried again every second.",
                self._host,
                self._port,
                fault.strerror,
            )

    def close(self) -> None:
        """Close the port and release its lock."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._lock is not None:
            self._lock.forget()

    def forget(self) -> None:
        """Close a forked child's copies of the parent's port and lock."""
        server, self._server = self._server, None
        if server is not None:
            server.forget()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.forget()
        self._given_up = self._warned = False
