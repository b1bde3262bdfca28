"""redispan's own books: what it saw, what it dropped, what went wrong in it. Read by observable counters.

Exact under threads (one lock, held for a dictionary update), bounded (every key comes from a fixed vocabulary),
and empty again in a forked child, which would otherwise report its parent's figures as its own.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable


class LockFreeCounter:
    """A counter that threads may raise without a lock, and that is exact.

    Attributes:
        add: Counts one more: one call into C, so nothing can come between.
    """

    __slots__ = ("_next", "_reads", "_start", "add")

    def __init__(self) -> None:
        self._next = itertools.count()
        self.add: Callable[[], int] = self._next.__next__
        self._reads = 0
        self._start = 0

    def read(self) -> int:
        """How often ``add`` was called since the last ``clear``. One reader at a time."""
        return self._total() - self._start

    def clear(self) -> None:
        """Start from zero; whoever holds ``add`` may go on using it."""
        self._start = self._total()

    def _total(self) -> int:
        # Reading takes a number, too.
        self._reads += 1
        return self._next.__next__() - self._reads + 1


class SelfMetrics:
    """Counters by name and kind.

    Names: ``operations`` by command group, ``raw`` (commands sent on a bare connection) by command group,
    ``retries``, ``redirects``, ``messages`` (pub/sub messages received), ``cache_hits``, ``telemetry_errors`` by
    part, ``dropped`` by what was dropped.
    """

    def __init__(self) -> None:
        self._operations: dict[str, LockFreeCounter] = {}
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Count from zero with a new lock: a forked child must not report its parent's counts as its own."""
        self._lock = threading.RLock()
        self._counts: Counter[tuple[str, str]] = Counter()
        for tally in self._operations.values():
            tally.clear()

    def operations(self, group: str) -> Callable[[], int]:
        """What to call for each operation of ``group``: for the path of every call, where a lock would cost."""
        return self._operations.setdefault(group, LockFreeCounter()).add

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
            found = Counter({kind: count for (of, kind), count in self._counts.items() if of == name})
            if name == "operations":
                found.update({group: tally.read() for group, tally in tuple(self._operations.items())})
        return {kind: count for kind, count in found.items() if count}

    def clear(self) -> None:
        """Start from zero (tests, and a new ``instrument()``)."""
        with self._lock:
            self._counts.clear()
            for tally in self._operations.values():
                tally.clear()
