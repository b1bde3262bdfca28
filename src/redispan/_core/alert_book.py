"""The book of alerts of this process: every detection counted, the last ones kept, what fires now, who is told."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from redispan._core.rate_limit import RateLimit
from redispan._core.records import CLEARED, FIRED, Alert
from redispan._core.slot import SLOT

_log = logging.getLogger("redispan")

HISTORY = 100
_STATES_LIMIT = 500
_LABELS_LIMIT = 500
_CALLBACKS_LIMIT = 100

Callback = Callable[[Alert], Any]
Label = tuple[str, "str | None", "int | None"]
"""Name of the alert, address and port of the server."""


class AlertBook:
    """Counts exactly under threads, keeps little, and is empty again in a forked child (but for its callbacks)."""

    def __init__(self, interval_s: float = 10.0, clock_s: Callable[[], float] = monotonic) -> None:
        """Open an empty book.

        Args:
            interval_s: Momentary alerts of one kind are told at most this often.
            clock_s: A monotonic clock.
        """
        self.limit = RateLimit(interval_s, clock_s)
        self.callbacks: list[Callback] = []
        self.reset()

    def reset(self) -> None:
        """Forget everything but the callbacks."""
        self._lock = threading.RLock()
        self.limit.reset()
        self._counts: Counter[Label] = Counter()
        self._emitted: Counter[str] = Counter()
        self._history: deque[Alert] = deque(maxlen=HISTORY)
        self._firing: dict[tuple[str, str], Alert] = {}
        self._known: dict[tuple[str, str], Label] = {}

    def renew_in_child(self) -> None:
        """Forget the alerts of the parent in a forked child."""
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
        """Count a momentary alert.

        Args:
            alert_name: Its name.
            endpoint: What it is about.
            command: Of what command.
            address: Host of the server.
            port: Its port.
            late: Tells it after all if none of its kind follows, given how many more were held back.

        Returns:
            None if it is to be held back; else how many of its kind were held back before it.
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
        """Keep an alert that is told; of one that lasts, the state too."""
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
        """Nobody judges alerts any more, so none can be said to fire."""
        with self._lock:
            self._firing.clear()

    def notify_callbacks(self, alert: Alert) -> None:
        """Call everyone who asked by ``on_alert``; what they raise is logged and counted."""
        for callback in list(self.callbacks):
            try:
                callback(alert)
            except Exception as fault:
                SLOT.runtime.self_metrics.telemetry_error("alert_callback")
                _log.error("redispan: an alert callback raised %s; nothing else is affected.", type(fault).__name__)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call ``callback`` with every alert that is told; the result takes it off again.

        Raises:
            ValueError: There are a hundred already, which can only be a leak.
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
        """Detections and firings so far, by alert and server."""
        with self._lock:
            return dict(self._counts)

    def states(self) -> dict[Label, int]:
        """1 for what fires now, 0 for what fired and cleared, by alert and server."""
        with self._lock:
            found = dict.fromkeys(self._known.values(), 0)
            for alert in self._firing.values():
                found[alert.name, alert.address, alert.port] = 1
        return found

    def firing(self) -> list[Alert]:
        """What fires now."""
        with self._lock:
            return list(self._firing.values())

    def history(self) -> list[Alert]:
        """The last alerts told, oldest first."""
        with self._lock:
            return list(self._history)

    def snapshot(self) -> dict[str, Any]:
        """Everything as plain data."""
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
