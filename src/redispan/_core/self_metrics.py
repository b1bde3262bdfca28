"""The self-metrics: counters of what redispan recorded and dropped, and of its own errors.

Observable counters read them when metrics are collected. The counts are exact under threads (one lock is held for a
dictionary update) and bounded (every key comes from a fixed vocabulary). A forked child starts from zero, because it
would otherwise report its parent's counts as its own.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable


class LockFreeCounter:
    """An exact counter that threads may increment without a lock.

    Attributes:
        add: Increments the counter. It is one call into C, so no other thread can run in the middle of it.
    """

    __slots__ = ("_next", "_reads", "_start", "add")

    def __init__(self) -> None:
        self._next = itertools.count()
        self.add: Callable[[], int] = self._next.__next__
        self._reads = 0
        self._start = 0

    def read(self) -> int:
        """Return how often ``add`` was called since the last ``clear``. Only one thread may read at a time."""
        return self._total() - self._start

    def clear(self) -> None:
        """Start from zero; references to ``add`` stay valid."""
        self._start = self._total()

    def _total(self) -> int:
        # Each read increments the counter too, so the reads are subtracted.
        self._reads += 1
        return self._next.__next__() - self._reads + 1


class SelfMetrics:
    """The counters of the self-metrics, by name and kind.

    The names are ``operations`` by command group, ``raw`` (commands sent on a bare connection) by command group,
    ``retries``, ``redirects``, ``messages`` (pub/sub messages received), ``cache_hits``, ``telemetry_errors`` by the
    part of redispan that failed, and ``dropped`` by what was dropped.
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
        """Return the function that counts one operation of ``group``.

        It runs in every call, where a lock would cost too much.
        """
        return self._operations.setdefault(group, LockFreeCounter()).add

    def add(self, name: str, kind: str = "", amount: int = 1) -> None:
        """Add ``amount`` to the counter ``name`` for ``kind``."""
        with self._lock:
            self._counts[name, kind] += amount

    def telemetry_error(self, part: str) -> None:
        """Count an error of redispan itself in ``part``."""
        self.add("telemetry_errors", part)

    def dropped(self, what: str, amount: int = 1) -> None:
        """Count items that redispan did not report, on purpose or because a limit was reached."""
        self.add("dropped", what, amount)

    def read(self, name: str) -> dict[str, int]:
        """Return the counts of one counter by kind, without those that are zero."""
        with self._lock:
            found = Counter({kind: count for (of, kind), count in self._counts.items() if of == name})
            if name == "operations":
                found.update({group: tally.read() for group, tally in tuple(self._operations.items())})
        return {kind: count for kind, count in found.items() if count}

    def clear(self) -> None:
        """Set every counter to zero."""
        with self._lock:
            self._counts.clear()
            for tally in self._operations.values():
                tally.clear()
