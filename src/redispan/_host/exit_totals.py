"""What processes leave behind: totals that outlive them, so that the host's totals don't shrink when a worker ends.

Each process keeps a small file beside its socket, renewed a second after it did something, and at its end. Files of
processes that ended are folded into one. Only what was left by the same group of processes counts: a service that was
started anew starts from zero.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from redispan._host.folder import write_whole
from redispan._host.role_lock import RoleLock

SUFFIX = ".totals"
FOLD_FROM = 8
"""Files of ended processes that are read one by one before they are worth being folded."""
_FOLDED = "folded.json"
_TRIES = 5

Data = dict[str, Any]
Merge = Callable[[Sequence[Data]], Data]


def group_of_this_process() -> str:
    """A name for the processes that were started together: their process group, and when it began."""
    if not hasattr(os, "getpgrp"):
        return str(os.getppid())
    group = os.getpgrp()
    try:
        # Its leader's start time, which is the 20th field after the program's name.
        started = Path(f"/proc/{group}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = "0"
    return f"{group}-{started}"


class ExitTotals:
    """The leftovers in one folder."""

    def __init__(self, folder: Path, merge: Merge) -> None:
        """Look at a folder.

        Args:
            folder: The service's private folder.
            merge: Makes one summary of several.
        """
        self._folder = folder
        self._merge = merge
        self._lock = RoleLock(folder / "fold.lock")

    def write(self, name: str, group: str, summary: Data) -> None:
        """Write down what shall count of this process when it is gone."""
        write_whole(self._folder / f"{name}{SUFFIX}", json.dumps({"group": group, "summary": summary}).encode())

    def names(self) -> set[str]:
        """Everyone who left something."""
        return {path.stem for path in self._folder.glob(f"*{SUFFIX}")}

    def read(self, alive: Iterable[str], groups: Iterable[str]) -> list[Data]:
        """What those left who are not ``alive``, of these groups; each counted once, also while someone folds."""
        alive, groups = set(alive), set(groups)
        for _ in range(_TRIES):
            before = self._folded()
            known = set(before["names"])
            loose = [one for name in self.names() - alive - known if (one := self._one(name)) is not None]
            if self._folded()["turn"] == before["turn"]:
                break
        found = [summary for group, summary in before["groups"].items() if group in groups]
        return found + [one["summary"] for one in loose if one["group"] in groups]

    def fold(self, ended: set[str], groups: Iterable[str]) -> None:
        """Make one of many, and forget groups of which nobody lives; whoever is at it already is left to it.

        Args:
            ended: Names of processes that ended for sure.
            groups: Of the processes that live.
        """
        groups = set(groups)
        for name in ended:
            one = self._one(name)
            if one is None or one["group"] not in groups:
                (self._folder / f"{name}{SUFFIX}").unlink(missing_ok=True)
        ended = ended & self.names()
        if len(ended) < FOLD_FROM or not self._lock.acquire():
            return
        try:
            before = self._folded()
            kept: dict[str, list[Data]] = {
                group: [summary] for group, summary in before["groups"].items() if group in groups
            }
            for name in ended - set(before["names"]):
                one = self._one(name)
                if one is not None and one["group"] in groups:
                    kept.setdefault(one["group"], []).append(one["summary"])
            merged = {group: self._merge(summaries) for group, summaries in kept.items()}
            # The names go with it: whoever reads before the files are gone must not count them twice.
            after = {"turn": before["turn"] + 1, "names": sorted(ended), "groups": merged}
            write_whole(self._folder / _FOLDED, json.dumps(after).encode())
            for name in ended:
                (self._folder / f"{name}{SUFFIX}").unlink(missing_ok=True)
        finally:
            self._lock.forget()

    def clear(self) -> None:
        """Take every file of the folder away: the last process has ended."""
        for path in self._folder.iterdir():
            path.unlink(missing_ok=True)

    def _one(self, name: str) -> Data | None:
        return _loaded(self._folder / f"{name}{SUFFIX}")

    def _folded(self) -> Data:
        return _loaded(self._folder / _FOLDED) or {"turn": 0, "names": [], "groups": {}}

    def forget_lock(self) -> None:
        """In a forked child: close what was inherited."""
        self._lock.forget()


def _loaded(path: Path) -> Data | None:
    try:
        found: Data = json.loads(path.read_bytes())
        return found
    except (OSError, ValueError):
        return None
