"""The rolling window of one endpoint: its last operations as they were, and exact totals since the start.

Adding is one ``deque.append`` by the caller, which is atomic: no lock is taken on the path of an operation. What
falls out of the window is folded into the totals, a few dozen operations at a time, by whoever finds it full.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

Entry = tuple[int, int, str, "str | None", int]
"""When it ended (ns), how long it took (ns), command, error type or None, time waited for a connection (ns)."""

FOLD_EVERY = 64
"""Operations beyond the window that wait for being folded: often enough to be no pause, rare enough to be cheap."""

COMMANDS_LIMIT = 400
ERROR_TYPES_LIMIT = 50
OTHER = "_OTHER"

COUNT, ERRORS, SUM_NS, MAX_NS, UNDER_TARGET, WAIT_NS = range(6)
"""Places in the list of totals of one command."""

_TARGET_NS = 100_000_000

Totals = dict[str, list[int]]


class Window:
    """The last ``size`` operations, and totals by command. Append an ``Entry`` to ``entries``, then call ``fold``."""

    __slots__ = ("_error_types", "_folded", "_left", "_lock", "entries", "limit", "size")

    def __init__(self, size: int) -> None:
        """Open an empty window.

        Args:
            size: How many operations it shows.
        """
        self.size = size
        self.limit = size + FOLD_EVERY
        self.entries: deque[Entry] = deque()
        self._lock = threading.Lock()
        self._left = 0
        self._folded: Totals = {}
        self._error_types: dict[str, int] = {}

    def add(self, entry: Entry) -> None:
        """Append and fold: what the observer does inline."""
        self.entries.append(entry)
        if len(self.entries) > self.limit:
            self.fold()

    def fold(self) -> None:
        """Move what is older than the window into the totals."""
        with self._lock:
            popleft = self.entries.popleft
            # Nobody else pops, so what was counted is there.
            leaving = [popleft() for _ in range(len(self.entries) - self.size)]
            self._left += len(leaving)
            count_into(self._folded, self._error_types, leaving)

    def resize(self, size: int) -> None:
        """Show another number of operations from now on."""
        self.size = size
        self.limit = size + FOLD_EVERY
        self.fold()

    def recent(self) -> list[Entry]:
        """The operations of the window, oldest first."""
        return _copy(self.entries)[-self.size :]

    def since(self, seen: int) -> tuple[int, list[Entry]]:
        """How many operations there have been, and those after the first ``seen``, as far as they are still held."""
        with self._lock:
            entries = _copy(self.entries)
            total = self._left + len(entries)
        fresh = min(total - seen, len(entries))
        return total, entries[len(entries) - fresh :] if fresh > 0 else []

    def read(self) -> tuple[list[Entry], Totals, dict[str, int]]:
        """The window, the totals by command and the error types: all of one instant, so that they agree."""
        with self._lock:
            entries = _copy(self.entries)
            totals = {command: list(figures) for command, figures in self._folded.items()}
            error_types = dict(self._error_types)
        count_into(totals, error_types, entries)
        return entries[-self.size :], totals, error_types


def _copy(entries: deque[Entry]) -> list[Entry]:
    while True:
        try:
            return list(entries.copy())
        except RuntimeError:  # someone appended meanwhile, which an interpreter without a global lock allows
            continue


def count_into(totals: Totals, error_types: dict[str, int], entries: Iterable[Entry]) -> None:
    """Add ``entries`` to totals by command and to counts by error type, both of bounded size.

    Every operation pays its part of this: grouped first, the sums run at the speed of C.
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
        # What fails at once is not quick.
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
    """Add one table of totals to another, as merging processes does."""
    for command, figures in other.items():
        known = into.setdefault(command, [0, 0, 0, 0, 0, 0])
        for place, figure in enumerate(figures):
            known[place] = max(known[place], figure) if place == MAX_NS else known[place] + figure
