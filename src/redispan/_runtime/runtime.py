"""``Runtime``: the object that owns the figures, the alerting and the host member of this process.

``instrument()`` or the first report makes it, ``SLOT`` in ``_core`` holds it, and one fork hook renews it in a child.
``uninstrument()`` ends its threads and its alert rules. The figures stay, and a later ``instrument()`` continues them.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
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
    """The objects that one process owns once it is instrumented or asks for a report.

    Attributes:
        figures: The figures that the process measured.
        alerting: The alert rules and the detectors that judge the figures.
        host: This process as a host member, with the chores of its thread.
        probe: The server probe; None while it is off.
    """

    def __init__(self, before: CoreRuntime | None = None) -> None:
        """Make the parts; no thread starts.

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
        """Use the settings of ``instrument()`` for the figures and the alerts.

        Args:
            settings: The settings.
            logger_provider: The logger provider for alert events; None for the global one.
        """
        self.figures.configure(settings)
        self.alerting.configure(settings, logger_provider)

    def observer(
        self, settings: Settings, *, tracer_provider: Any, meter: Any, logger_provider: Any
    ) -> InsightObserver:
        """Return an observer that adds operations to the figures.

        Args:
            settings: The settings, with the thresholds.
            tracer_provider: The tracer provider that gets the span processor; None for the global one.
            meter: redispan's meter; None for no metrics.
            logger_provider: The logger provider for alert events; None for the global one.
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

    def prepare(self, settings: Settings, *chores: Chore) -> None:
        """Make the host member start at the next operation. A second call with the same settings changes nothing.

        Args:
            settings: The settings, which decide which chores the host member has.
            *chores: Further chores.
        """
        if not settings.insight or settings == self._prepared:
            return
        try:
            self.end_background()
            self._prepared = settings
            self.host.chores.extend(chores)
            self._add_chores(settings)
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
        if host.sharing or host.chores:
            # No thread starts for this chore alone. Without a thread, the next operation or the exit of the program
            # emits the deferred alerts.
            host.chores.append(Chore(self._emit_deferred))

    def _emit_deferred(self, _: Path | None) -> None:
        self.deferred_alerts.emit_due()

    def _tick(self, now_ns: int) -> None:
        """Evaluate the alert rules, and start the host member if it does not run.

        Operations call this about once a second.
        """
        self.evaluate(now_ns)
        if self._prepared is None:
            return
        try:
            self.host.start()
        except Exception as fault:
            self.self_metrics.telemetry_error("tick")
            _log.debug("redispan: the host member did not start: %s", type(fault).__name__)

    def evaluate(self, now_ns: int | None = None) -> None:
        """Emit the deferred alerts that are due, and evaluate the alert rules; see ``Alerting.evaluate``."""
        self.alerting.evaluate(now_ns)

    def own_readings(self) -> list[ServerReading]:
        """Return the readings of the servers that this process probes, and no sibling process."""
        return self.probe.own() if self.probe is not None else []

    def gather_others(self) -> tuple[list[dict[str, Any]], list[int]] | None:
        """Return the snapshots of the sibling processes, and the process ids of those that did not answer.

        The result is None if reports cover this process alone.
        """
        return None if self._prepared is None else self.host.gather()

    def snapshot(self) -> dict[str, Any]:
        """Return the snapshot of this process: plain data that merges with the snapshots of other processes."""
        return self.figures.snapshot(self.alerting.slowest(), self.alerting.baselines())

    def end_background(self) -> None:
        """End the threads, sockets and ports of the host member, which leaves the exit totals for its siblings."""
        self._prepared = self.probe = None
        self.host.stop()
        self.host.chores.clear()
        self.figures.servers, self.alerting.judged_servers = tuple, None

    def stop(self) -> None:
        """End the threads and the alert rules that ``instrument()`` started. The figures stay."""
        self.end_background()
        self.alerting.stop()


def current() -> Runtime:
    """Return the ``Runtime`` of this process; make it from the ``CoreRuntime`` in the slot if there is none yet."""
    found = SLOT.runtime
    if isinstance(found, Runtime):
        return found
    with SLOT.making:
        found = SLOT.runtime
        if not isinstance(found, Runtime):
            found = SLOT.runtime = Runtime(found)
        return found


def error_type(error: BaseException) -> str | None:
    """Return the error type of a failure; None for flow control and for cancelled calls, which are not failures."""
    if not isinstance(error, Exception):
        return None
    failure = classify(error)
    return None if failure.flow_control else failure.error_type
