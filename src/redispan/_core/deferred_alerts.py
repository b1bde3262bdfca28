"""Deferred alerts: alerts that were held back by a rate limit and are emitted later.

They are emitted about once a second, and when the program ends. No thread exists for this alone: operations, the host
member, the collection of metrics and the exit of the program call ``emit_due``.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from typing import Protocol

from redispan._core.self_metrics import SelfMetrics


class Holder(Protocol):
    """An object that holds deferred alerts, such as a ``RateLimit``."""

    def emit_due(self, *, everything: bool = False) -> None:
        """Emit the alerts whose interval is over; with ``everything`` all of them."""


class DeferredAlerts:
    """The holders of deferred alerts, which are referenced weakly."""

    def __init__(self, self_metrics: SelfMetrics | None = None) -> None:
        """Start without any holder.

        Args:
            self_metrics: Counts the alerts that could not be emitted; an object of its own by default.
        """
        self._self_metrics = self_metrics or SelfMetrics()
        self._holders: tuple[weakref.ref[Holder], ...] = ()
        self._emits_at_exit = False
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Make a new lock in a forked child. Each holder forgets the alerts of the parent by itself."""
        self._lock = threading.RLock()

    def count_fault(self) -> None:
        """Count an alert that a holder could not emit."""
        self._self_metrics.telemetry_error("late_alert")

    def follow(self, holder: Holder) -> None:
        """Include ``holder`` in ``emit_due`` from now on, as long as it exists."""
        with self._lock:
            living = [known for known in self._holders if known() is not None]
            if all(known() is not holder for known in living):
                self._holders = (*living, weakref.ref(holder))
            if not self._emits_at_exit:
                # Exit functions run in reverse order. Registered only now, this one runs before the shutdown of the
                # OpenTelemetry providers that exist already.
                self._emits_at_exit = True
                atexit.register(self.emit_due, everything=True)

    def emit_due(self, *, everything: bool = False) -> None:
        """Emit the alerts whose interval is over.

        Args:
            everything: Emit all deferred alerts, because the program or the instrumentation ends.
        """
        for known in self._holders:
            holder = known()
            if holder is not None:
                holder.emit_due(everything=everything)
