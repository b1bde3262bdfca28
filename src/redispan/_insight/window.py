"""The rolling window of one endpoint: its last operations as they were, and exact totals since the start.

The caller adds an operation by one ``deque.append``, which is atomic, so an operation takes no lock. The thread that
finds more than ``FOLD_EVERY`` waiting entries folds them: it counts them into the totals and appends them to columns of
plain numbers. The columns take a quarter of the memory of as many tuples, and no time of the garbage collector.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

Entry = tuple[int, int, str, "str | None", int]
"""End time (ns), duration (ns), command, error type or None, and time spent waiting for a connection (ns)."""

FOLD_EVERY = 64
"""The most entries that wait to be folded: few enough for a short pause, and enough to make folding cheap."""

COMMANDS_LIMIT = 400
ERROR_TYPES_LIMIT = 50
OTHER = "_OTHER"

COUNT, ERRORS, SUM_NS, MAX_NS, UNDER_TARGET, WAIT_NS = range(6)
"""The indexes of the figures in the list of totals of one command."""

_TARGET_NS = 100_000_000

Totals = dict[str, list[int]]


class Window:
    """The last ``size`` operations, and totals by command. Append an ``Entry`` to ``entries``, then call ``fold``."""

    __slots__ = ("_columns", "_error_types", "_folded", "_lock", "_settling", "_total", "entries", "size")

    def __init__(self, size: int) -> None:
        """Create an empty window.

        Args:
            size: How many operations it holds.
        """
        self.size = size
        self.entries: deque[Entry] = deque()
        """The entries that wait to be folded."""
        # The lock is reentrant, because a destructor or a signal handler that calls Redis may run while it is held.
        self._lock = threading.RLock()
        self._settling = False
        self._columns = _Columns()
        self._total = 0
        self._folded: Totals = {}
        self._error_types: dict[str, int] = {}

    def add(self, entry: Entry) -> None:
        """Append an entry, and fold if enough are waiting. The observer does the same inline."""
        self.entries.append(entry)
        if len(self.entries) > FOLD_EVERY:
            self.fold()

    def fold(self) -> None:
        """Fold the waiting entries, unless another thread holds the lock: an operation never waits for it."""
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        if self._settling:
            return  # a destructor or a signal handler called it from within itself
        self._settling = True
        try:
            popleft = self.entries.popleft
            # Only this method removes entries, and under the lock, so at least as many are there as were counted.
            arrived = [popleft() for _ in range(len(self.entries))]
            if arrived:
                self._total += len(arrived)
                count_into(self._folded, self._error_types, arrived)
                self._columns.take(arrived, self.size)
        finally:
            self._settling = False

    def resize(self, size: int) -> None:
        """Change the number of operations that the window holds."""
        with self._lock:
            self.size = size
            self._settle()
            self._columns.shorten(size)

    def newest_ns(self) -> int | None:
        """Return the end time of the newest operation, or None without one."""
        newest = self.since(-1, at_most=1)[1]
        return newest[0][0] if newest else None

    def recent(self) -> list[Entry]:
        """Return the operations of the window, oldest first."""
        return self.since(-1)[1]

    def since(self, seen: int, at_most: int | None = None) -> tuple[int, list[Entry]]:
        """Return the number of operations so far, and those after the first ``seen`` that the window still holds.

        Args:
            seen: How many of the first operations to leave out.
            at_most: The most operations to return, the newest ones.
        """
        with self._lock:
            self._settle()
            fresh = self._total - seen
            return self._total, self._last(fresh if at_most is None else min(fresh, at_most))

    def read(self, seen: int = 0) -> tuple[list[Entry], Totals, dict[str, int]]:
        """Return the window, the totals by command and the error types, all of the same instant so that they agree.

        Args:
            seen: How many of the first operations to leave out, so that a repeated reader copies only new ones.
        """
        with self._lock:
            self._settle()
            totals = {command: list(figures) for command, figures in self._folded.items()}
            return self._last(self._total - seen), totals, dict(self._error_types)

    def _last(self, count: int) -> list[Entry]:
        # During ``_settle`` the columns may have different lengths.
        return [] if self._settling else self._columns.last(count)


class _Columns:
    """The entries of a window, oldest first, in one column per field."""

    __slots__ = ("commands", "durations_ns", "ends_ns", "errors", "waits_ns")

    def __init__(self) -> None:
        self.ends_ns = array("q")
        self.durations_ns = array("q")
        self.commands: list[str] = []
        self.errors: list[str | None] = []
        self.waits_ns = array("q")

    def take(self, entries: Sequence[Entry], size: int) -> None:
        """Append ``entries``, and drop all but the last ``size``."""
        ends_ns, durations_ns, commands, errors, waits_ns = zip(*entries, strict=True)
        self.ends_ns.extend(ends_ns)
        self.durations_ns.extend(durations_ns)
        self.commands.extend(commands)
        self.errors.extend(errors)
        self.waits_ns.extend(waits_ns)
        self.shorten(size)

    def shorten(self, size: int) -> None:
        """Drop all entries but the last ``size``."""
        leaving = len(self.ends_ns) - size
        if leaving > 0:
            for column in (self.ends_ns, self.durations_ns, self.commands, self.errors, self.waits_ns):
                del column[:leaving]

    def last(self, count: int) -> list[Entry]:
        """Return the last ``count`` entries, or fewer if there are fewer."""
        if count <= 0:
            return []
        columns = (self.ends_ns, self.durations_ns, self.commands, self.errors, self.waits_ns)
        return list(zip(*(column[-count:] for column in columns), strict=True))


def count_into(totals: Totals, error_types: dict[str, int], entries: Iterable[Entry]) -> None:
    """Add ``entries`` to totals by command and to counts by error type, both of bounded size.

    The entries are grouped by command first, so that the sums run in C. Every operation bears a part of this cost.
    """
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        command = entry[2]
        if command in grouped:
            grouped[command].append(entry)
        else:
            grouped[command] = [entry]
    for command, group in grouped.items():
        figures = totals.get(command)
        if figures is None:
            figures = totals.setdefault(command if len(totals) < COMMANDS_LIMIT else OTHER, [0, 0, 0, 0, 0, 0])
        _, durations_ns, _, errors, waits_ns = zip(*group, strict=True)
        count, longest_ns = len(group), max(durations_ns)
        figures[COUNT] += count
        figures[SUM_NS] += sum(durations_ns)
        figures[WAIT_NS] += sum(waits_ns)
        figures[MAX_NS] = max(figures[MAX_NS], longest_ns)
        healthy = errors.count(None)
        if healthy == count and longest_ns < _TARGET_NS:
            figures[UNDER_TARGET] += count
            continue
        # An operation that fails fast does not meet the target.
        figures[UNDER_TARGET] += sum(
            error is None and duration_ns < _TARGET_NS for duration_ns, error in zip(durations_ns, errors, strict=True)
        )
        if healthy != count:
            figures[ERRORS] += count - healthy
            _count_errors(error_types, errors)


def _count_errors(error_types: dict[str, int], errors: Iterable[str | None]) -> None:
    for error in errors:
        if error is not None:
            kind = error if error in error_types or len(error_types) < ERROR_TYPES_LIMIT else OTHER
            error_types[kind] = error_types.get(kind, 0) + 1


def add_totals(into: Totals, other: dict[str, Any]) -> None:
    """Add the totals of ``other`` to those of ``into``, as in a merge of several processes."""
    for command, figures in other.items():
        known = into.setdefault(command, [0, 0, 0, 0, 0, 0])
        for place, figure in enumerate(figures):
            known[place] = max(known[place], figure) if place == MAX_NS else known[place] + figure
