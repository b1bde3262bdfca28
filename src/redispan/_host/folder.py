"""The private folder of one user and service, and the name by which processes count as one service."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

PRIVATE = 0o700


class UnsafeFolderError(OSError):
    """The path is no folder, belongs to another user, or is open to others; redispan does not use it."""


def service_of(environ: Mapping[str, str], argv: list[str] | None = None) -> str:
    """Return the name by which processes count as one service.

    Args:
        environ: The environment. ``OTEL_SERVICE_NAME`` comes first, then ``service.name`` in
            ``OTEL_RESOURCE_ATTRIBUTES``.
        argv: The program's arguments; ``sys.argv`` by default.

    Returns:
        ``service.name``, else ``unknown_service:`` with the program and its working folder.
    """
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    if name:
        return name
    for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == "service.name" and value.strip():
            return value.strip()
    program = (sys.argv if argv is None else argv)[:1] or [""]
    try:
        folder = str(Path.cwd())
    except OSError:
        folder = ""
    return f"unknown_service:{program[0]}:{folder}"


def users_folder(base: str) -> Path:
    """Return the path of this user's private folder, whether it exists or not.

    Args:
        base: The folder above it; the system's folder for temporary files if empty.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    return Path(base or tempfile.gettempdir()) / f"redispan-{user}"


def folder_of(base: str, service: str) -> Path:
    """Return the path of the folder of ``service``, whether it exists or not."""
    # A hash, because names may be long and hold any character, and the path of a UNIX socket must be short.
    return users_folder(base) / hashlib.sha256(service.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def open_folder(path: Path) -> Path:
    """Create ``path`` and its parent as private folders of this user, unless they exist.

    Returns:
        ``path``.

    Raises:
        UnsafeFolderError: Another user created one of them first, or others may look into it.
    """
    for folder in (path.parent, path):
        try:
            folder.mkdir(mode=PRIVATE)
        except FileExistsError:
            pass
        require_private(folder)
    return path


def require_private(folder: Path) -> None:
    """Check that no other user can read or write ``folder``, or has created it.

    Raises:
        UnsafeFolderError: ``folder`` is no such folder, or no folder at all.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFolderError(f"{folder} is no folder")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise UnsafeFolderError(f"{folder} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UnsafeFolderError(f"{folder} is open to others (mode {stat.S_IMODE(found.st_mode):o})")


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file atomically, so that no reader sees half of it."""
    # The temporary name holds the thread id, because another thread of this process may write the same file.
    passing = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    passing.replace(path)


_LONGEST = 100
"""The longest path, in bytes, that is used as a socket address as it is. Linux takes 107, macOS 103."""


@contextlib.contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Yield an address of ``path`` for ``bind`` and ``connect``, valid inside the block.

    On Linux, a path that is too long for a socket address is reached through ``/proc/self/fd``.
    """
    if len(os.fsencode(path)) <= _LONGEST or not sys.platform.startswith("linux"):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
