"""``RateLimit``: admits one item per kind and interval, and counts exactly the items that it holds back."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from redispan._core.deferred_alerts import DeferredAlerts

KINDS_LIMIT = 1000
NEVER_S = float("inf")

Late = Callable[[int], None]
"""Emits an item that was held back; called with the number of further items of its kind that were held back."""


@dataclass(slots=True)
class _Kind:
    emitted_s: float
    held_back: int = 0
    late: Late | None = None


class RateLimit:
    """Decides for each item whether it is admitted or held back.

    Every item is either admitted or counted as held back. The count survives when its kind is dropped to make room for
    another: it is then added to the count of the item that took the room. If no other item of a kind follows, the last
    one held back is emitted by ``emit_due`` once the interval is over.
    """

    def __init__(self, interval_s: float, clock_s: Callable[[], float], deferred: DeferredAlerts | None = None) -> None:
        """Start without any item.

        Args:
            interval_s: The interval in seconds, in which one item per kind is admitted; 0 admits all.
            clock_s: Returns the seconds of a monotonic clock.
            deferred: Calls ``emit_due`` regularly once an item was deferred; needed only if items are.
        """
        self._deferred = deferred or DeferredAlerts()
        self.interval_s = interval_s
        self._clock_s = clock_s
        self.reset()

    def reset(self) -> None:
        """Forget every kind and every deferred item, and make a new lock."""
        self._lock = threading.RLock()
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()
        self._due_s = NEVER_S

    def admit(self, kind: Hashable, late: Late | None = None) -> int | None:
        """Admit an item or hold it back.

        Args:
            kind: The kind of the item.
            late: Emits this item later, if it stays the last of its kind. It is kept until then, so it must be small.

        Returns:
            None if the item is held back; otherwise how many items were held back before it.
        """
        now_s = self._clock_s()
        with self._lock:
            known = self._kinds.get(kind)
            if known is not None and now_s < known.emitted_s + self.interval_s:
                known.held_back += 1
                known.late = late
                if late is not None:
                    self._due_s = min(self._due_s, known.emitted_s + self.interval_s)
                    self._deferred.follow(self)
                return None
            held_back = 0 if known is None else known.held_back
            self._kinds[kind] = _Kind(now_s)
            self._kinds.move_to_end(kind)
            if len(self._kinds) > KINDS_LIMIT:
                held_back += self._kinds.popitem(last=False)[1].held_back
            return held_back

    def emit_due(self, *, everything: bool = False) -> None:
        """Emit the last item held back of each kind whose interval is over. This is cheap while there is none.

        Args:
            everything: Emit also the items whose interval is not over, because the program or the instrumentation ends.
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
                self._deferred.count_fault()

    def waiting(self) -> int:
        """Return how many items were held back and not yet reported by a later item."""
        with self._lock:
            return sum(kind.held_back for kind in self._kinds.values())
