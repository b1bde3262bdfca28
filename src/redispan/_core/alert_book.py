"""The alerts of this process: ``AlertBook`` counts them and keeps the alert history, the states and the callbacks."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from redispan._core.deferred_alerts import DeferredAlerts
from redispan._core.rate_limit import RateLimit
from redispan._core.records import CLEARED, FIRED, Alert
from redispan._core.self_metrics import SelfMetrics

_log = logging.getLogger("redispan")

HISTORY = 100
_STATES_LIMIT = 500
_LABELS_LIMIT = 500
_CALLBACKS_LIMIT = 100

Callback = Callable[[Alert], Any]
Label = tuple[str, "str | None", "int | None"]
"""The name of an alert, and the address and port of the server that it is about."""


class AlertBook:
    """The counts, the history and the firing alerts of this process, and the callbacks that are notified of alerts.

    The counts are exact under threads, and the constants above bound the memory. A forked child starts empty but keeps
    the callbacks.
    """

    def __init__(
        self,
        interval_s: float = 10.0,
        clock_s: Callable[[], float] = monotonic,
        *,
        self_metrics: SelfMetrics | None = None,
        deferred: DeferredAlerts | None = None,
    ) -> None:
        """Start without any alert.

        Args:
            interval_s: The shortest time in seconds between two momentary alerts of the same kind that are emitted.
            clock_s: Returns the seconds of a monotonic clock.
            self_metrics: Counts what is dropped and what fails; an object of its own by default.
            deferred: Emits the alerts that were held back; an object of its own by default.
        """
        self.self_metrics = self_metrics or SelfMetrics()
        self.deferred = deferred or DeferredAlerts(self.self_metrics)
        self.limit = RateLimit(interval_s, clock_s, self.deferred)
        self.callbacks: list[Callback] = []
        self.reset()

    def reset(self) -> None:
        """Forget all alerts and counts; keep the callbacks."""
        self._lock = threading.RLock()
        self.limit.reset()
        self._counts: Counter[Label] = Counter()
        self._emitted: Counter[str] = Counter()
        self._history: deque[Alert] = deque(maxlen=HISTORY)
        self._firing: dict[tuple[str, str], Alert] = {}
        self._known: dict[tuple[str, str], Label] = {}

    def renew_in_child(self) -> None:
        """Forget the parent's alerts in a forked child; keep the callbacks."""
        self.reset()

    def detect(
        self,
        alert_name: str,
        endpoint: str,
        command: str,
        address: str | None,
        port: int | None,
        late: Callable[[int], None] | None = None,
    ) -> int | None:
        """Count a momentary alert, and decide whether it is emitted now.

        Alerts with the same name, endpoint and command are of one kind.

        Args:
            alert_name: The name of the alert, one of ``ALERT_NAMES``.
            endpoint: The label of the endpoint that the alert is about.
            command: The name of the command.
            address: The host of the server; None if unknown.
            port: The port of the server; None if there is none.
            late: Emits the alert later, if it is held back and no other of its kind follows. It is called with the
                number of further alerts of this kind that were held back.

        Returns:
            None if the alert is held back; otherwise the number of its kind that were held back before it.
        """

        def emit_late(held_back: int) -> None:
            with self._lock:
                self._emitted[alert_name] += 1
            if late is not None:
                late(held_back)

        admitted = self.limit.admit((alert_name, endpoint, command), late and emit_late)
        with self._lock:
            self._count((alert_name, address, port))
            if admitted is not None:
                self._emitted[alert_name] += 1
        return admitted

    def record(self, alert: Alert) -> None:
        """Add an emitted alert to the history, and follow its state if it is one that fires and clears.

        ``detect`` has counted a momentary alert already; an alert that fires is counted here.
        """
        key = (alert.name, alert.endpoint)
        with self._lock:
            self._history.append(alert)
            if alert.state == FIRED:
                self._count((alert.name, alert.address, alert.port))
                self._emitted[alert.name] += 1
                self._firing[key] = alert
            elif alert.state == CLEARED:
                self._firing.pop(key, None)
            if alert.state in (FIRED, CLEARED) and (key in self._known or len(self._known) < _STATES_LIMIT):
                self._known[key] = (alert.name, alert.address, alert.port)

    def _count(self, label: Label) -> None:
        if label not in self._counts and len(self._counts) >= _LABELS_LIMIT:
            label = (label[0], None, None)
        self._counts[label] += 1

    def withdraw(self) -> None:
        """Clear the list of firing alerts, because their rules are no longer evaluated."""
        with self._lock:
            self._firing.clear()

    def notify_callbacks(self, alert: Alert) -> None:
        """Call every callback with ``alert``.

        An exception that a callback raises is logged and counted in the self-metrics.
        """
        for callback in list(self.callbacks):
            try:
                callback(alert)
            except Exception as fault:
                self.self_metrics.telemetry_error("alert_callback")
                _log.error("redispan: an alert callback raised %s; nothing else is affected.", type(fault).__name__)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call ``callback`` with every alert that is emitted.

        Returns:
            A function that removes the callback.

        Raises:
            ValueError: There are 100 callbacks already, which points to a leak in the program.
        """
        with self._lock:
            if len(self.callbacks) >= _CALLBACKS_LIMIT:
                raise ValueError("too many callbacks: take one off by calling what on_alert returned")
            self.callbacks.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self.callbacks:
                    self.callbacks.remove(callback)

        return unsubscribe

    def counts(self) -> dict[Label, int]:
        """Return how often each alert was detected or fired so far, by alert and server."""
        with self._lock:
            return dict(self._counts)

    def states(self) -> dict[Label, int]:
        """Return 1 for each alert that fires now and 0 for each that has cleared, by alert and server."""
        with self._lock:
            found = dict.fromkeys(self._known.values(), 0)
            for alert in self._firing.values():
                found[alert.name, alert.address, alert.port] = 1
        return found

    def firing(self) -> list[Alert]:
        """Return the alerts that fire now."""
        with self._lock:
            return list(self._firing.values())

    def history(self) -> list[Alert]:
        """Return the alert history: the alerts emitted last, at most ``HISTORY``, oldest first."""
        with self._lock:
            return list(self._history)

    def snapshot(self) -> dict[str, Any]:
        """Return the counts, the firing alerts and the history as plain data for reports."""
        with self._lock:
            counts: Counter[str] = Counter()
            for (name, _, _), count in self._counts.items():
                counts[name] += count
            return {
                "counts": dict(counts),
                "emitted": dict(self._emitted),
                "firing": [alert.as_data() for alert in self._firing.values()],
                "history": [alert.as_data() for alert in self._history],
            }
