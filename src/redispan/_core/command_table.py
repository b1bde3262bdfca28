"""The table of commands as rows: of Redis up to 8.x, Valkey up to 9.1, modules, Sentinel and older clients.

A line of a table reads ``NAME access keys [flag ...]``.

- ``NAME``: upper case; ``CONFIG|GET`` is the sub-command ``CONFIG GET`` of the container ``CONFIG``.
- access: ``r`` only reads the keyspace, ``w`` may change it, ``-`` neither.
- keys: which arguments are keys, see ``command_keys``; ``-`` is none.
- flags: ``long`` (may honestly take long), ``secret`` (no argument may ever be shown), ``pure`` (changes nothing,
  although it isn't a read of the keyspace), ``block=<kind>`` (the server may hold the reply, see ``commands``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from redispan._core import command_table_data_types, command_table_modules, command_table_server

_ACCESS = {"r": "read", "w": "write", "-": "other"}
_TABLES = (command_table_data_types.TABLE, command_table_server.TABLE, command_table_modules.TABLE)


class Row(NamedTuple):
    """One command of the table, its fields spelled out."""

    name: str
    group: str
    access: str
    keys: str
    blocking: str | None
    long_running: bool
    secret: bool
    pure: bool


def rows() -> Iterator[Row]:
    """Every command of the table."""
    for table in _TABLES:
        for group, lines in table.items():
            for line in lines.splitlines():
                if line.strip():
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
