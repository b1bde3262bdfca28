"""Alerts that were held back and are emitted in the end: about once a second, and when the program ends.

No thread of its own does it: operations, the host member, the reader of metrics and the end of the program call
``emit_due``.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from typing import Protocol


class Holder(Protocol):
    """An object that holds alerts back, such as a ``RateLimit``."""

    def emit_due(self, *, everything: bool = False) -> None:
        """Emit what is due, or everything."""


class DeferredAlerts:
    """The holders that have something to emit later. Holds them weakly."""

    def __init__(self) -> None:
        self._holders: tuple[weakref.ref[Holder], ...] = ()
        self._emits_at_exit = False
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Make a new lock in a forked child. What the parent held back, each holder forgets by itself."""
        self._lock = threading.RLock()

    def follow(self, holder: Holder) -> None:
        """Ask ``holder`` from now on to emit what is due, as long as it lives."""
        with self._lock:
            living = [known for known in self._holders if known() is not None]
            if all(known() is not holder for known in living):
                self._holders = (*living, weakref.ref(holder))
            if not self._emits_at_exit:
                # Registered as late as this, so that it runs before the end of the providers that exist by now.
                self._emits_at_exit = True
                atexit.register(self.emit_due, everything=True)

    def emit_due(self, *, everything: bool = False) -> None:
        """Emit the alerts whose interval is over.

        Args:
            everything: Emit the others too: the program or the instrumentation ends.
        """
        for known in self._holders:
            holder = known()
            if holder is not None:
                holder.emit_due(everything=everything)
