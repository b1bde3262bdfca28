"""``Chore``: something small that a host member does about once a second on its thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Run = Callable[["Path | None"], None]


class Chore:
    """One chore. Subclasses override ``__call__`` and what else they need; a plain one calls a function."""

    def __init__(self, run: Run) -> None:
        """Wrap a function.

        Args:
            run: Called with the private folder of the service; None if there can't be one.
        """
        self._do = run

    def __call__(self, folder: Path | None) -> None:
        """Do it once."""
        self._do(folder)

    def at_exit(self) -> None:
        """Do what is left to do when the program ends."""

    def stop(self) -> None:
        """End the threads and close the ports that the chore has."""

    def renew_in_child(self) -> None:
        """Forget what belongs to the parent, in a forked child."""
