"""Letting one through per interval and kind, and counting those held back, exactly."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

KINDS_LIMIT = 1000


class RateLimit:
    """Says of each item whether it is let through. Items let through + items held back = items asked about.

    What was held back is never forgotten, not even when its kind is dropped for want of room: it is then handed to
    the next item that is let through, whatever its kind.
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
        self._kinds: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        self._orphans = 0

    def admit(self, kind: Hashable) -> int | None:
        """None if the item is held back, else how many were before it."""
        now_s = self._clock_s()
        with self._lock:
            last_s, held_back = self._kinds.get(kind, (None, 0))
            if last_s is not None and now_s - last_s < self.interval_s:
                self._kinds[kind] = (last_s, held_back + 1)
                return None
            self._kinds[kind] = (now_s, 0)
            self._kinds.move_to_end(kind)
            if len(self._kinds) > KINDS_LIMIT:
                _, (_, forgotten) = self._kinds.popitem(last=False)
                self._orphans += forgotten
            held_back, self._orphans = held_back + self._orphans, 0
            return held_back

    def waiting(self) -> int:
        """How many were held back and not yet reported by a later item."""
        with self._lock:
            return self._orphans + sum(held_back for _, held_back in self._kinds.values())
