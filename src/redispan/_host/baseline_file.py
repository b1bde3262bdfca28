"""What was learned to be usual, kept for the next process: a worker that is replaced, or the program started anew.

One small file per service beside its private folder, because that goes with the last process.
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
"""A process that ends sooner has learned next to nothing."""
OLDEST_S = 86_400.0
"""What was usual the day before yesterday says little about today."""
LARGEST_BYTES = 4 << 20
MOST = 500
"""Baselines kept: those of processes that do something else stay in the file, too."""
_VERSION = 1


class BaselineFile(Chore):
    """Hands on what is usual: reads the file at first, and writes it every five minutes and at the end."""

    def __init__(
        self,
        learned: Callable[[], list[dict[str, Any]]],
        take_over: Callable[[Iterable[Any]], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wire the chore.

        Args:
            learned: What this process has learned.
            take_over: Given what an earlier one did.
            clock_s: A monotonic clock.
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
        """Read or write, if it is time to."""
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
        """Hand on what was learned since it was written last."""
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
    """What the file has; nothing, if it can't be trusted."""
    try:
        require_private(path.parent)
        known = path.stat()
        if time.time() - known.st_mtime > OLDEST_S or known.st_size > LARGEST_BYTES:
            return []
        found = json.loads(path.read_bytes())
        learned = found["learned"] if found["version"] == _VERSION else []
        return [one for one in learned if _is_baseline(one)]
    except FileNotFoundError:
        return []  # nobody has learned anything yet
    except Exception as fault:
        _log.debug("redispan: no baselines are taken over: %s", type(fault).__name__)
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
    """The file of the service whose private folder that is."""
    return folder.with_name(f"{folder.name}.usual.json")
