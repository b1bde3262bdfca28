"""The start-up of a process: the host member, the server probe and the monitoring port.

All of these start at the first operation. So a prefork master that runs no operation has no thread, no port and no
socket of redispan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redispan._host.chore import Chore
from redispan._runtime import runtime
from redispan.settings import Settings


def prepare(settings: Settings) -> None:
    """Make everything that ``settings`` asks for start at the next operation. A second call changes nothing."""
    chores = [MonitoringPort(settings)] if settings.monitoring_port else []
    runtime.current().prepare(settings, *chores)


class MonitoringPort(Chore):
    """A chore that holds the monitoring port, unless a sibling process holds it."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings. The HTTP server is imported at the first run, because most programs need none."""
        self._settings = settings
        self._holder: Any = None

    def __call__(self, folder: Path | None) -> None:
        """Try to take the port."""
        if self._holder is None:
            from redispan.monitoring.port_holder import PortHolder
            from redispan.monitoring.sources import ReportSources

            settings = self._settings
            self._holder = PortHolder(
                ReportSources(),
                host=settings.monitoring_host,
                port=settings.monitoring_port,
                token=settings.monitoring_token,
            )
        self._holder(folder)

    def at_exit(self) -> None:
        """Release the port, so that a sibling process can take it while this program exits."""
        self.renew_in_child()

    def stop(self) -> None:
        """Close the port."""
        if self._holder is not None:
            self._holder.close()

    def renew_in_child(self) -> None:
        """Close the copies of the parent's sockets in a forked child."""
        if self._holder is not None:
            self._holder.forget()
