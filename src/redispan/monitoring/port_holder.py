"""Who of the service's processes has the port: one of them, and when it ends another within a second."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from redispan._host.role_lock import RoleLock
from redispan.monitoring.respond import Sources
from redispan.monitoring.server import MonitoringServer

_log = logging.getLogger("redispan")


class PortHolder:
    """A chore: have the port, unless a sibling has it."""

    def __init__(self, sources: Sources, *, host: str, port: int, token: str) -> None:
        """Name the port.

        Args:
            sources: Asked for the reports.
            host: The address to listen on.
            port: The port.
            token: Bearer token that reports ask for.
        """
        self._sources, self._token = sources, token
        self._host, self._port = host, port
        self._server: MonitoringServer | None = None
        self._lock: RoleLock | None = None
        self._given_up = False
        self._warned = False

    def __call__(self, folder: Path | None) -> None:
        """Try to have the port."""
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
        # Without a folder there is no telling a sibling from a stranger.
        if not self._warned and not (alone and fault.errno == errno.EADDRINUSE):
            self._warned = True
            _log.warning(
                "redispan: the monitoring port %s:%s can't be opened: %s. It is tried again every second.",
                self._host,
                self._port,
                fault.strerror,
            )

    def close(self) -> None:
        """Give the port up."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._lock is not None:
            self._lock.forget()

    def forget(self) -> None:
        """In a forked child: close the copies of what the parent has."""
        server, self._server = self._server, None
        if server is not None:
            server.forget()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.forget()
        self._given_up = self._warned = False
