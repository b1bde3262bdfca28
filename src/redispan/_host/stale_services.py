"""Removal of the files of services whose processes have all ended.

A service that ends in order removes its folder itself. A service that is killed leaves it. A program without a service
name counts as another service in every folder that it runs in.
"""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

from redispan._host.role_lock import RoleLock

_log = logging.getLogger("redispan")

KEPT_S = 86_400.0
"""Age at which a folder is removed. A member touches its socket every 20 s, so after a day its service has ended."""
BASELINES_KEPT_S = 30 * 86_400.0
"""Age at which a baseline file is removed, so that a service that runs once a month finds its own."""

_FOLDER = re.compile(r"[0-9a-f]{16}")


def sweep(users: Path, own: Path) -> None:
    """Remove the folders and baseline files that no process has touched for long. Never raises.

    Args:
        users: The private folder of the user.
        own: The folder of this process's service, which is left alone.
    """
    now_s = time.time()
    try:
        for path in tuple(users.iterdir()):
            if path.name.endswith(".baselines.json"):
                if path.name.partition(".")[0] != own.name and now_s - path.lstat().st_mtime > BASELINES_KEPT_S:
                    path.unlink(missing_ok=True)
            elif path != own and _FOLDER.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                _sweep_one(path, now_s - KEPT_S)
    except OSError as fault:
        _log.debug("redispan: files of ended services could not be removed: %s", type(fault).__name__)


def _sweep_one(folder: Path, oldest_s: float) -> None:
    found = tuple(folder.iterdir())
    if any(path.lstat().st_mtime > oldest_s for path in (folder, *found)):
        return
    for path in found:
        if path.suffix == ".lock":
            lock = RoleLock(path)
            if not lock.acquire():
                return  # the process that holds the port may have no socket here
            lock.forget()
    for path in found:
        path.unlink(missing_ok=True)
    folder.rmdir()
