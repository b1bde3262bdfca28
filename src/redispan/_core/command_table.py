"""The rows of the command table, read from ``commands.txt`` in this folder; that file explains its format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ACCESS = {"r": "read", "w": "write", "-": "other"}
_TABLE = Path(__file__).with_name("commands.txt")


class Row(NamedTuple):
    """One command of the table; ``CommandInfo`` explains the fields, whose abbreviations are resolved here."""

    name: str
    group: str
    access: str
    keys: str
    blocking: str | None
    long_running: bool
    secret: bool
    pure: bool


def rows() -> Iterator[Row]:
    """Yield every command of the table, in the order of the file."""
    group = ""
    for line in _TABLE.read_text("utf-8").splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif line and not line.startswith("#"):
            yield _row(group, *line.split())


def _row(group: str, name: str, access: str, keys: str, *flags: str) -> Row:
    return Row(
        name=name.replace("|", " "),
        group=group,
        access=_ACCESS[access],
        keys=keys,
        blocking=next((flag[len("block=") :] for flag in flags if flag.startswith("block=")), None),
        long_running="long" in flags,
        secret="secret" in flags,
        pure="pure" in flags,
    )
