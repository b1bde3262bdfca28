"""Services of which nobody is left: what they left behind goes after a while.

A service that ends in order takes its folder away itself. One that is killed leaves it, and a program without a service
name is another service in every folder that it runs in.
"""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path

from redispan._host.role_lock import RoleLock

_log = logging.getLogger("redispan")

KEPT_S = 86_400.0
"""A member touches its socket every 20 s: a day of silence is an end."""
USUAL_KEPT_S = 30 * 86_400.0
"""What was learned is worth keeping for a service that runs once a month."""

_FOLDER = re.compile(r"[0-9a-f]{16}")


def sweep(users: Path, own: Path) -> None:
    """Remove what nobody has touched for long; never raises.

    Args:
        users: The private folder of the user.
        own: The folder of this process's service, which is left alone.
    """
    now_s = time.time()
    try:
        for path in tuple(users.iterdir()):
            if path.name.endswith(".usual.json"):
                if path.name.partition(".")[0] != own.name and now_s - path.lstat().st_mtime > USUAL_KEPT_S:
                    path.unlink(missing_ok=True)
            elif path != own and _FOLDER.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                _sweep_one(path, now_s - KEPT_S)
    except OSError as fault:
        _log.debug("redispan: what old services left stays: %s", type(fault).__name__)


def _sweep_one(folder: Path, oldest_s: float) -> None:
    found = tuple(folder.iterdir())
    if any(path.lstat().st_mtime > oldest_s for path in (folder, *found)):
        return
    for path in found:
        if path.suffix == ".lock":
            lock = RoleLock(path)
            if not lock.acquire():
                return  # whoever has the port needs no socket of ours
            lock.forget()
    for path in found:
        path.unlink(missing_ok=True)
    folder.rmdir()
