"""What a process starts at its first operation: answering its siblings, the monitoring port, the server probe.

Nothing of it runs before: a prefork master that makes no operation has no thread, no port and no socket of ours.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redispan import reports
from redispan._client.probe.probe import Probe
from redispan._core import deferred_alerts
from redispan._core.records import ServerReading
from redispan._host.baseline_file import BaselineFile
from redispan._host.folder import service_of
from redispan._host.member import HostMember
from redispan._insight import snapshots
from redispan._runtime.runtime import INSIGHT
from redispan._telemetry.scope import without_instrumentation
from redispan.settings import Settings

_log = logging.getLogger("redispan")

HOST = HostMember(INSIGHT.snapshot, INSIGHT.remains, snapshots.merge)
"""This process among the processes of its service on this host."""

_prepared: Settings | None = None
_probe: Probe | None = None
_at_stop: list[Callable[[], None]] = []
_in_child: list[Callable[[], None]] = []


def prepare(settings: Settings) -> None:
    """Have everything that ``settings`` asks for start at the next operation; doing it again changes nothing."""
    global _prepared
    if not settings.insight or settings == _prepared:
        return
    try:
        stop()
        _prepared = settings
        _prepare(settings)
    except Exception as fault:
        _log.warning("redispan: no monitoring: %s: %s", type(fault).__name__, fault)


def _prepare(settings: Settings) -> None:
    HOST.service, HOST.name_service = "", lambda: service_of(os.environ, sys.argv)
    HOST.base = settings.runtime_dir
    HOST.sharing = settings.host_sharing
    reports.gather_others = HOST.gather
    if settings.monitoring_port:
        _prepare_port(settings)
    if settings.server_probe:
        _prepare_probe(settings)
    if settings.host_sharing and settings.anomaly_alert > 0:
        keeper = BaselineFile(INSIGHT.learned, INSIGHT.take_over)
        HOST.chores.append(keeper)
        HOST.before_exit.append(keeper.at_exit)
        _in_child.append(keeper.forget)
    if HOST.sharing or HOST.chores:
        # No thread for this alone: without one, whoever comes by next tells it, and the end of the program.
        HOST.chores.append(lambda _: deferred_alerts.emit_due())
    INSIGHT.on_tick.append(HOST.start)


def own_readings() -> list[ServerReading]:
    """What this process, and no other of the host, has to tell of servers."""
    return _probe.own() if _probe is not None else []


def _prepare_probe(settings: Settings) -> None:
    global _probe
    _probe = probe = Probe(settings.server_probe_interval_s, without_instrumentation, on_reading=INSIGHT.evaluate)
    INSIGHT.servers, INSIGHT.judged_servers = probe.read, probe.own
    HOST.chores.append(probe)
    _at_stop.append(probe.stop)
    _in_child.append(probe.forget)


def _prepare_port(settings: Settings) -> None:
    holder: Any = None

    def hold(folder: Path | None) -> None:
        nonlocal holder
        if holder is None:
            # An HTTP server is nothing that every program should import.
            from redispan.monitoring.port_holder import PortHolder
            from redispan.monitoring.sources import ReportSources

            holder = PortHolder(
                ReportSources(),
                host=settings.monitoring_host,
                port=settings.monitoring_port,
                token=settings.monitoring_token,
            )
            _at_stop.append(holder.close)
            _in_child.append(holder.forget)
            HOST.before_exit.append(holder.forget)
        holder(folder)

    HOST.chores.append(hold)


def stop() -> None:
    """Undo ``prepare``: the thread ends within a second, the port is closed, what was counted is left behind."""
    global _prepared, _probe
    _prepared = _probe = None
    if HOST.start in INSIGHT.on_tick:
        INSIGHT.on_tick.remove(HOST.start)
    HOST.chores.clear()
    HOST.before_exit.clear()
    HOST.stop()
    while _at_stop:
        _at_stop.pop()()
    _in_child.clear()
    reports.gather_others = None
    INSIGHT.servers, INSIGHT.judged_servers = tuple, None


def _forked() -> None:
    for forget in tuple(_in_child):
        forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
