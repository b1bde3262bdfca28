"""What a pipeline or transaction is called, and whether its answer holds an error."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from redispan._core.commands import UNKNOWN, CommandInfo, identify
from redispan._core.ledger import LEDGER

_MIXED = {kind: dataclasses.replace(UNKNOWN, name=kind, group="batch", known=True) for kind in ("PIPELINE", "MULTI")}
_uniform: dict[tuple[str, CommandInfo], CommandInfo] = {}
"""Bounded by the table of commands: only known commands get an entry."""


def common_info(kind: str, commands: Sequence[Sequence[Any]]) -> CommandInfo:
    """``PIPELINE SET`` where all commands are the same one, else ``PIPELINE``; likewise for ``MULTI``."""
    first = commands[0]
    word = first[0]
    # Queued command words are mostly the same string object: compare those first, identify the rest only then.
    for args in commands:
        if args[0] is not word and args[0] != word:
            return _MIXED[kind]
    info = identify(first)
    if not info.known or any(identify(args) is not info for args in commands[1:2]):
        return _MIXED[kind]
    if " " in info.name and any(identify(args) is not info for args in commands):
        return _MIXED[kind]  # ("CONFIG", "GET") and ("CONFIG", "SET") share their first word
    found = _uniform.get((kind, info))
    if found is None:
        found = _uniform.setdefault(
            (kind, info), dataclasses.replace(info, name=f"{kind} {info.name}", group="batch", blocking=None)
        )
    return found


def first_error(response: Any) -> BaseException | None:
    """The first exception that ``raise_on_error=False`` left in the list of answers."""
    if type(response) is list:
        for answer in response:
            if isinstance(answer, Exception):
                return answer
    return None


def count_groups(commands: Sequence[Sequence[Any]]) -> None:
    """Count every command of a batch by its group."""
    for group, count in Counter(identify(args).group for args in commands).items():
        LEDGER.add("operations", group, count)
