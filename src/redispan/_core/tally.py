"""``Tally``: a counter for the path of every call."""

from __future__ import annotations

import itertools
from collections.abc import Callable


class Tally:
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
