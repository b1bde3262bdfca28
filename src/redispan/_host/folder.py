"""The private folder of one user and service, and the name a service goes by in it."""

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
    """The folder belongs to somebody else, or is open to others; it isn't used then."""


def service_of(environ: Mapping[str, str], argv: list[str] | None = None) -> str:
    """The name by which processes count as one service: ``service.name``, else the program and its folder.

    Args:
        environ: Where OpenTelemetry's variables are looked up.
        argv: The program's own by default.
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
    """Where the private folder of this user is, whether it exists or not."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    return Path(base or tempfile.gettempdir()) / f"redispan-{user}"


def folder_of(base: str, service: str) -> Path:
    """Where the folder of ``service`` is, whether it exists or not."""
    # A hash: names may be long or hold anything, and the path of a UNIX socket must be short.
    return users_folder(base) / hashlib.sha256(service.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def open_folder(path: Path) -> Path:
    """Make ``path`` and its parent private folders of this user, or refuse.

    Raises:
        UnsafeFolderError: Somebody else made it first, or others may look into it.
    """
    for folder in (path.parent, path):
        try:
            folder.mkdir(mode=PRIVATE)
        except FileExistsError:
            pass
        require_private(folder)
    return path


def require_private(folder: Path) -> None:
    """Refuse a folder that others could read, write or have put there.

    Raises:
        UnsafeFolderError: It is one.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFolderError(f"{folder} is no folder")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise UnsafeFolderError(f"{folder} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UnsafeFolderError(f"{folder} is open to others (mode {stat.S_IMODE(found.st_mode):o})")


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file at once: nobody ever reads half of it."""
    # A name of this thread's: another one of this process may be at the same file.
    passing = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    passing.replace(path)


_LONGEST = 100


@contextlib.contextmanager
def short_address(path: Path) -> Iterator[str]:
    """An address for ``bind`` and ``connect`` that means ``path``, valid inside the block."""
    if len(os.fsencode(path)) <= _LONGEST or not sys.platform.startswith("linux"):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
