"""The baseline file, which hands learned baselines on to the next process of a service.

A worker that replaces another one, or the program when it is started again, reads what earlier processes learned.
Each service has one small file. It lies beside the service's private folder, because the last process removes that
folder when it ends.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from redispan._host.chore import Chore
from redispan._host.folder import require_private, write_whole

_log = logging.getLogger("redispan")

WRITE_EVERY_S = 300.0
WORTH_WRITING_S = 60.0
"""A process that ends sooner writes nothing, because it has learned too little."""
OLDEST_S = 86_400.0
"""Older baselines are dropped. What was usual more than a day ago says little about today."""
LARGEST_BYTES = 4 << 20
MOST = 500
"""The most baselines in the file. It also keeps the baselines of processes that do other work."""
_VERSION = 1


class BaselineFile(Chore):
    """The member's chore that reads the file once at first, and writes it every five minutes and at exit."""

    def __init__(
        self,
        learned: Callable[[], list[dict[str, Any]]],
        take_over: Callable[[Iterable[Any]], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up the chore; nothing is read yet.

        Args:
            learned: Returns the baselines that this process has learned.
            take_over: Receives the baselines that earlier processes have learned.
            clock_s: A monotonic clock, in seconds.
        """
        self._learned = learned
        self._take_over = take_over
        self._clock_s = clock_s
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Read the file again in a forked child, as any new process does."""
        self._path: Path | None = None
        self._began_s = self._write_at_s = 0.0

    def __call__(self, folder: Path | None) -> None:
        """Read the file on the first call, and write it when five minutes have passed.

        Args:
            folder: The service's private folder; None if there is none, and then nothing happens.
        """
        if folder is None:
            return
        now_s = self._clock_s()
        if self._path is None:
            self._path = file_of(folder)
            self._began_s, self._write_at_s = now_s, now_s + WRITE_EVERY_S
            known = _read(self._path)
            if known:
                self._take_over(known)
        elif now_s >= self._write_at_s:
            self._write_at_s = now_s + WRITE_EVERY_S
            self._write(self._path)

    def at_exit(self) -> None:
        """Write what was learned since the last write, unless this process lived for less than a minute."""
        if self._path is not None and self._clock_s() - self._began_s >= WORTH_WRITING_S:
            self._write(self._path)

    def _write(self, path: Path) -> None:
        now_s = int(time.time())
        found = [{**one, "at": now_s} for one in self._learned()]
        if not found:
            return
        mine = {_subject(one) for one in found}
        others = [one for one in _read(path) if _subject(one) not in mine and now_s - one["at"] <= OLDEST_S]
        write_whole(path, json.dumps({"version": _VERSION, "learned": (found + others)[:MOST]}).encode())


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the baselines in the file, or an empty list if the file can't be trusted."""
    try:
        require_private(path.parent)
        known = path.stat()
        if time.time() - known.st_mtime > OLDEST_S or known.st_size > LARGEST_BYTES:
            return []
        found = json.loads(path.read_bytes())
        learned = found["learned"] if found["version"] == _VERSION else []
        return [one for one in learned if _is_baseline(one)]
    except FileNotFoundError:
        return []  # no process has written the file yet
    except Exception as fault:
        _log.debug("redispan: the baseline file could not be read: %s", type(fault).__name__)
        return []


def _is_baseline(one: Any) -> bool:
    kinds = (
        ("endpoint", str),
        ("command", (str, type(None))),
        ("figure", str),
        ("history", dict),
        ("at", (int, float)),
    )
    return isinstance(one, dict) and all(isinstance(one.get(name), kind) for name, kind in kinds)


def _subject(one: dict[str, Any]) -> tuple[str, str | None, str]:
    return one["endpoint"], one["command"], one["figure"]


def file_of(folder: Path) -> Path:
    """Return the path of the baseline file that belongs to the private folder ``folder``."""
    return folder.with_name(f"{folder.name}.baselines.json")
