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

from redispan.host_sharing.private_folder import require_private, write_whole

_log = logging.getLogger("redispan")

WRITE_EVERY_S = 300.0
OLDEST_S = 86_400.0
"""What was usual the day before yesterday says little about today."""
LARGEST_BYTES = 4 << 20
_VERSION = 1


class BaselineFile:
    """A chore of the member: reads the file at first, and writes it every five minutes."""

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
        self.forget()

    def forget(self) -> None:
        """In a forked child: read it again, as any new process."""
        self._write_at_s: float | None = None

    def __call__(self, folder: Path | None) -> None:
        """Read or write, if it is time to."""
        if folder is None:
            return
        now_s = self._clock_s()
        path = file_of(folder)
        if self._write_at_s is None:
            self._write_at_s = now_s + WRITE_EVERY_S
            self._read(path)
        elif now_s >= self._write_at_s:
            self._write_at_s = now_s + WRITE_EVERY_S
            found = self._learned()
            if found:
                write_whole(path, json.dumps({"version": _VERSION, "learned": found}).encode())

    def _read(self, path: Path) -> None:
        try:
            require_private(path.parent)
            known = path.stat()
            if time.time() - known.st_mtime > OLDEST_S or known.st_size > LARGEST_BYTES:
                return
            found = json.loads(path.read_bytes())
            if found["version"] == _VERSION:
                self._take_over(found["learned"])
        except FileNotFoundError:
            return  # nobody has learned anything yet
        except Exception as fault:
            _log.debug("redispan: no baselines are taken over: %s", type(fault).__name__)


def file_of(folder: Path) -> Path:
    """The file of the service whose private folder that is."""
    return folder.with_name(f"{folder.name}.usual.json")
