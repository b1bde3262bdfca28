"""``Runtime``: what this process owns, from ``instrument()`` on.

``instrument()`` makes it, or the first report that is asked for; ``SLOT`` in ``_core`` finds it; one fork hook renews
it in a child; ``uninstrument()`` ends it with its threads. Its figures outlive that: a later ``instrument()`` goes on.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from redispan._client.probe.probe import Probe
from redispan._core.core_runtime import CoreRuntime
from redispan._core.records import ServerReading
from redispan._core.slot import SLOT
from redispan._host.baseline_file import BaselineFile
from redispan._host.chore import Chore
from redispan._host.folder import service_of
from redispan._host.member import HostMember
from redispan._insight import snapshots
from redispan._insight.observer import InsightObserver
from redispan._runtime.alerting import Alerting
from redispan._runtime.figures import Figures
from redispan._semconv.errors import classify
from redispan._telemetry import alert_events, slow_detection
from redispan._telemetry.scope import without_instrumentation
from redispan.settings import Settings

_log = logging.getLogger("redispan")


class Runtime(CoreRuntime):
    """Everything that one process owns.

    Attributes:
        figures: What was measured.
        alerting: How it is judged.
        host: This process among the processes of its service on this host, with the chores of its thread.
        probe: The server probe; None while there is none.
    """

    def __init__(self, before: CoreRuntime | None = None) -> None:
        """Make the parts; nothing is started.

        Args:
            before: The runtime that this one replaces in the slot.
        """
        super().__init__(before)
        self.figures = self.part("figures", Figures)
        self.alerting = Alerting(self.figures)
        self.host = HostMember(self.snapshot, self.figures.exit_totals, snapshots.merge)
        self.parts.update(alerting=self.alerting, host=self.host)
        self.probe: Probe | None = None
        self._prepared: Settings | None = None

    def configure(self, settings: Settings, logger_provider: Any = None) -> None:
        """Measure and judge by the settings of ``instrument()``."""
        self.figures.configure(settings)
        self.alerting.configure(settings, logger_provider)

    def observer(
        self, settings: Settings, *, tracer_provider: Any, meter: Any, logger_provider: Any
    ) -> InsightObserver:
        """Return an observer that feeds the figures.

        Args:
            settings: The thresholds.
            tracer_provider: The provider whose other Redis spans are to be watched; None for the global one.
            meter: redispan's meter, None without metrics.
            logger_provider: Where alert events go; None for the global one.
        """
        if not self.alerting.is_configured:
            self.configure(settings, logger_provider)
        detector, attach = self.alerting.detector(
            settings, tracer_provider=tracer_provider, logger_provider=logger_provider
        )
        attach()
        figures = self.figures
        observer = InsightObserver(
            figures.statistics,
            detector,
            error_type=error_type,
            tick=self._tick,
            first_span=attach,
            works=figures.monitored,
            sampler=figures.sampler if settings.cache_patterns else None,
        )
        figures.observers.add(observer)
        slow_detection.follow_floor(observer)
        if meter is not None:
            alert_events.create_instruments(meter)
        return observer

    def prepare(self, settings: Settings, *chores: Callable[[], Chore]) -> None:
        """Have the host member start with the next operation; doing it again with the same settings changes nothing.

        Args:
            settings: What it is to do.
            *chores: Each makes a chore more for its thread.
        """
        if not settings.insight or settings == self._prepared:
            return
        try:
            self.end_background()
            self._prepared = settings
            self._add_chores(settings)
            for make in chores:
                self.host.chores.append(make())
        except Exception as fault:
            _log.warning("redispan: no monitoring: %s: %s", type(fault).__name__, fault)

    def _add_chores(self, settings: Settings) -> None:
        host = self.host
        host.service, host.name_service = "", lambda: service_of(os.environ, sys.argv)
        host.base = settings.runtime_dir
        host.sharing = settings.host_sharing
        if settings.server_probe:
            self.probe = probe = Probe(
                settings.server_probe_interval_s, without_instrumentation, on_reading=self.evaluate
            )
            self.figures.servers, self.alerting.judged_servers = probe.read, probe.own
            host.chores.append(probe)
        if settings.host_sharing and settings.anomaly_alert > 0:
            host.chores.append(BaselineFile(self.alerting.learned, self.alerting.take_over))
        if host.sharing or settings.server_probe or settings.monitoring_port:
            # No thread starts for this alone: without one, the next operation emits it, and the end of the program.
            host.chores.append(Chore(self._emit_deferred))

    def _emit_deferred(self, _: Path | None) -> None:
        self.deferred_alerts.emit_due()

    def _tick(self, now_ns: int) -> None:
        """Do what is due about once a second while operations run."""
        self.evaluate(now_ns)
        if self._prepared is None:
            return
        try:
            self.host.start()
        except Exception as fault:
            self.self_metrics.telemetry_error("tick")
            _log.debug("redispan: the host member did not start: %s", type(fault).__name__)

    def evaluate(self, now_ns: int | None = None) -> None:
        """Judge the alerts that last; see ``Alerting.evaluate``."""
        self.alerting.evaluate(perf_counter_ns() if now_ns is None else now_ns)

    def own_readings(self) -> list[ServerReading]:
        """Return what this process, and no other of the host, reports of servers."""
        return self.probe.own() if self.probe is not None else []

    def gather_others(self) -> tuple[list[dict[str, Any]], list[int]] | None:
        """Return the snapshots of the sibling processes, and the ids of those that did not answer.

        None where this process speaks for itself alone.
        """
        return None if self._prepared is None else self.host.gather()

    def snapshot(self) -> dict[str, Any]:
        """Return everything that reports are made of, as plain data that merges with other processes' snapshots."""
        return self.figures.snapshot(self.alerting.slowest(), self.alerting.baselines())

    def end_background(self) -> None:
        """End every thread, socket and port of the host member; what was counted is left for the other processes."""
        self._prepared = self.probe = None
        self.host.stop()
        self.host.chores.clear()
        self.figures.servers, self.alerting.judged_servers = tuple, None

    def stop(self) -> None:
        """End what ``instrument()`` began. The figures stay."""
        self.end_background()
        self.alerting.stop()


_making = threading.Lock()


def current() -> Runtime:
    """Return the runtime of this process, made if there is none yet."""
    found = SLOT.runtime
    if isinstance(found, Runtime):
        return found
    with _making:
        found = SLOT.runtime
        if not isinstance(found, Runtime):
            found = SLOT.runtime = Runtime(found)
        return found


def error_type(error: BaseException) -> str | None:
    """Return the label of a failure that counts against Redis; None for flow control and for cancelled calls."""
    if not isinstance(error, Exception):
        return None
    failure = classify(error)
    return None if failure.flow_control else failure.error_type
