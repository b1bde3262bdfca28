"""Who holds something back that is to be told in the end: asked about once a second by those who come by, and at exit.

No thread of its own does it: operations, the member of the host, the reader of metrics and the end of the program do.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol


class Holder(Protocol):
    """Someone who holds back."""

    def emit_due(self, *, everything: bool = False) -> None:
        """Tell what is due, or everything."""


_lock = threading.RLock()
_holders: tuple[weakref.ref[Holder], ...] = ()
_at_exit = False


def follow(holder: Holder) -> None:
    """From now on ``holder`` is asked to tell what is due, as long as it lives."""
    global _holders, _at_exit
    with _lock:
        living = [known for known in _holders if known() is not None]
        if all(known() is not holder for known in living):
            _holders = (*living, weakref.ref(holder))
        if not _at_exit:
            # As late as this, so that it runs before the end of providers that were there by now.
            _at_exit = True
            atexit.register(emit_due, everything=True)


def emit_due(*, everything: bool = False) -> None:
    """Have told what was held back and whose interval is over; with ``everything``, the rest, too."""
    for known in _holders:
        holder = known()
        if holder is not None:
            holder.emit_due(everything=everything)


def _in_child() -> None:
    # What the parent held back is the parent's: its holders forget it in the child, each by itself.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
