"""What a pipeline or transaction is called, and whether its answer holds an error."""

from __future__ import annotations

import dataclasses
from typing import Any

from redispan._core.commands import UNKNOWN, Census, CommandInfo
from redispan._core.slot import SLOT

_MIXED = {kind: dataclasses.replace(UNKNOWN, name=kind, group="batch", known=True) for kind in ("PIPELINE", "MULTI")}
_uniform: dict[tuple[str, CommandInfo], CommandInfo] = {}
"""Bounded by the table of commands: only known commands get an entry."""


def common_info(kind: str, census: Census) -> CommandInfo:
    """``PIPELINE SET`` where all commands are the same one, else ``PIPELINE``; likewise for ``MULTI``."""
    if len(census) != 1:
        return _MIXED[kind]
    (info,) = census
    if not info.known:
        return _MIXED[kind]
    found = _uniform.get((kind, info))
    if found is None:
        found = _uniform.setdefault(
            (kind, info), dataclasses.replace(info, name=f"{kind} {info.name}", group="batch", blocking=None)
        )
    return found


def first_error(response: Any) -> BaseException | None:
    """The first exception that ``raise_on_error=False`` left in the list of answers."""
    # Asked of the few types rather than of the many answers.
    if type(response) is list and any(issubclass(kind, Exception) for kind in set(map(type, response))):
        for answer in response:
            if isinstance(answer, Exception):
                return answer
    return None


def count_groups(census: Census) -> None:
    """Count every command of a batch by its group."""
    for info, count in census.items():
        SLOT.runtime.self_metrics.add("operations", info.group, count)
