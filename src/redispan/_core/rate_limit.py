"""Letting one through per interval and kind, and counting those held back, exactly."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from redispan._core.slot import SLOT

KINDS_LIMIT = 1000
NEVER_S = float("inf")

Late = Callable[[int], None]
"""Tells an item that was held back, given how many more were."""


@dataclass(slots=True)
class _Kind:
    emitted_s: float
    held_back: int = 0
    late: Late | None = None


class RateLimit:
    """Says of each item whether it is let through. Items let through + items held back = items asked about.

    What was held back is never forgotten, not even when its kind is dropped for want of room: it is then handed to
    the item that took the room. When none of its kind follows, the last one held back is told after all, once the
    interval is over and somebody calls ``emit_due``.
    """

    def __init__(self, interval_s: float, clock_s: Callable[[], float]) -> None:
        """Start empty.

        Args:
            interval_s: One item per kind and interval; 0 lets all through.
            clock_s: A monotonic clock.
        """
        self.interval_s = interval_s
        self._clock_s = clock_s
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._lock = threading.RLock()
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()
        self._due_s = NEVER_S

    def admit(self, kind: Hashable, late: Late | None = None) -> int | None:
        """None if the item is held back, else how many were before it.

        Args:
            kind: One of these is let through per interval.
            late: Tells this very item later, if it is the last of its kind; kept until then, so it must be small.
        """
        now_s = self._clock_s()
        with self._lock:
            known = self._kinds.get(kind)
            if known is not None and now_s < known.emitted_s + self.interval_s:
                known.held_back += 1
                known.late = late
                if late is not None:
                    self._due_s = min(self._due_s, known.emitted_s + self.interval_s)
                    SLOT.runtime.deferred_alerts.follow(self)
                return None
            held_back = 0 if known is None else known.held_back
            self._kinds[kind] = _Kind(now_s)
            self._kinds.move_to_end(kind)
            if len(self._kinds) > KINDS_LIMIT:
                held_back += self._kinds.popitem(last=False)[1].held_back
            return held_back

    def emit_due(self, *, everything: bool = False) -> None:
        """Tell the last one held back of each kind whose interval is over; cheap while there is none.

        Args:
            everything: Whether the interval is over or not: there will be no later.
        """
        now_s = self._clock_s()
        if now_s < self._due_s and not everything:
            return
        due: list[tuple[Late, int]] = []
        with self._lock:
            self._due_s = NEVER_S
            for kind in self._kinds.values():
                if kind.late is None:
                    continue
                if everything or now_s >= kind.emitted_s + self.interval_s:
                    due.append((kind.late, kind.held_back - 1))
                    kind.emitted_s, kind.held_back, kind.late = now_s, 0, None
                else:
                    self._due_s = min(self._due_s, kind.emitted_s + self.interval_s)
        # Outside the lock: it is the program's callbacks that are called.
        for late, more in due:
            try:
                late(more)
            except Exception:
                SLOT.runtime.self_metrics.telemetry_error("late_alert")

    def waiting(self) -> int:
        """How many were held back and not yet reported by a later item."""
        with self._lock:
            return sum(kind.held_back for kind in self._kinds.values())
