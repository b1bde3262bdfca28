"""Exit totals: what an ended process leaves, so that the host's totals don't shrink when a worker ends.

Each process keeps a small file beside its socket. It writes the file a second after it did something, and when it
ends. The files of ended processes are folded into one. Only exit totals of the same group of processes count: a
service that is started again starts from zero.
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
"""The number of files of ended processes from which they are folded. Fewer are read one by one."""
_FOLDED = "folded.json"
_TRIES = 5

Data = dict[str, Any]
Merge = Callable[[Sequence[Data]], Data]


def group_of_this_process() -> str:
    """Return a name for the processes that were started together: their process group, and when it began.

    Where a system has no process groups, the name is the parent's process id.
    """
    if not hasattr(os, "getpgrp"):
        return str(os.getppid())
    group = os.getpgrp()
    try:
        # The start time of the group's leader is the 20th field after the program's name: see proc(5).
        started = Path(f"/proc/{group}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = "0"
    return f"{group}-{started}"


class ExitTotals:
    """The exit totals in one private folder."""

    def __init__(self, folder: Path, merge: Merge) -> None:
        """Use the exit totals in ``folder``; nothing is read or written yet.

        Args:
            folder: The service's private folder.
            merge: Merges several summaries into one.
        """
        self._folder = folder
        self._merge = merge
        self._lock = RoleLock(folder / "fold.lock")

    def write(self, name: str, group: str, summary: Data) -> None:
        """Write the totals that count for this process after it has ended.

        Args:
            name: The name of this process among its siblings.
            group: The result of ``group_of_this_process``.
            summary: The totals.
        """
        write_whole(self._folder / f"{name}{SUFFIX}", json.dumps({"group": group, "summary": summary}).encode())

    def names(self) -> set[str]:
        """Return the names of the processes whose exit totals are in a file of their own."""
        return {path.stem for path in self._folder.glob(f"*{SUFFIX}")}

    def read(self, alive: Iterable[str], groups: Iterable[str]) -> list[Data]:
        """Return the exit totals of the ended processes, each counted once, even while a sibling folds the files.

        Args:
            alive: Names of the processes that live; their files are skipped.
            groups: The groups whose exit totals count.

        Returns:
            Summaries: one for each folded group, and one for each process that is not folded yet.
        """
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
        """Fold the files of ended processes into one, and remove those of groups without a living process.

        Nothing is folded below ``FOLD_FROM`` files, or while a sibling holds the fold lock.

        Args:
            ended: Names of the processes that have certainly ended.
            groups: The groups of the living processes.
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
            # The names are written too: a sibling that reads before the files are removed must not count them twice.
            after = {"turn": before["turn"] + 1, "names": sorted(ended), "groups": merged}
            write_whole(self._folder / _FOLDED, json.dumps(after).encode())
            for name in ended:
                (self._folder / f"{name}{SUFFIX}").unlink(missing_ok=True)
        finally:
            self._lock.forget()

    def clear(self) -> None:
        """Remove every file of the folder; the last process does this when it ends."""
        for path in self._folder.iterdir():
            path.unlink(missing_ok=True)

    def _one(self, name: str) -> Data | None:
        return _loaded(self._folder / f"{name}{SUFFIX}")

    def _folded(self) -> Data:
        return _loaded(self._folder / _FOLDED) or {"turn": 0, "names": [], "groups": {}}

    def forget_lock(self) -> None:
        """Close the inherited lock file in a forked child."""
        self._lock.forget()


def _loaded(path: Path) -> Data | None:
    try:
        found: Data = json.loads(path.read_bytes())
        return found
    except (OSError, ValueError):
        return None
