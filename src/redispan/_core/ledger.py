"""redispan's own books: what it saw, what it dropped, what went wrong in it. Read by observable counters.

Exact under threads (one lock, held for a dictionary update), bounded (every key comes from a fixed vocabulary),
and empty again in a forked child, which would otherwise report its parent's figures as its own.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, deque

_FOLD_AT = 2000


class Ledger:
    """Counters by name and kind.

    Names: ``operations`` by command group, ``raw`` (commands sent on a bare connection) by command group,
    ``retries``, ``redirects``, ``messages`` (pub/sub messages received), ``cache_hits``, ``telemetry_errors`` by
    part, ``dropped`` by what was dropped.
    """

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._pending: deque[str] = deque()

    def operation(self, group: str) -> None:
        """Count one operation of ``group``: the cheap way, for the path of every call.

        Appending to a deque is atomic and takes no lock; the counts are folded in when somebody reads, or when there
        are many.
        """
        self._pending.append(group)
        if len(self._pending) >= _FOLD_AT:
            with self._lock:
                self._fold()

    def _fold(self) -> None:
        """Move what is pending into the counts. The lock is held."""
        pending = self._pending
        for group, count in Counter(pending.popleft() for _ in range(len(pending))).items():
            self._counts["operations", group] += count

    def add(self, name: str, kind: str = "", amount: int = 1) -> None:
        """Count ``amount`` more of ``name``/``kind``."""
        with self._lock:
            self._counts[name, kind] += amount

    def telemetry_error(self, part: str) -> None:
        """A fault of redispan itself in ``part``."""
        self.add("telemetry_errors", part)

    def dropped(self, what: str, amount: int = 1) -> None:
        """Something was not reported, on purpose or for want of room."""
        self.add("dropped", what, amount)

    def read(self, name: str) -> dict[str, int]:
        """A snapshot of one counter by kind."""
        with self._lock:
            self._fold()
            return {kind: count for (of, kind), count in self._counts.items() if of == name}

    def clear(self) -> None:
        """Start from zero (tests, and a new ``instrument()``)."""
        with self._lock:
            self._pending.clear()
            self._counts.clear()


LEDGER = Ledger()
"""The one ledger of this process."""
