"""Batches (pipelines and transactions): their names, and the errors inside their responses."""

from __future__ import annotations

import dataclasses
from typing import Any

from redispan._core.commands import UNKNOWN, Census, CommandInfo
from redispan._core.slot import SLOT

_MIXED = {kind: dataclasses.replace(UNKNOWN, name=kind, group="batch", known=True) for kind in ("PIPELINE", "MULTI")}
_uniform: dict[tuple[str, CommandInfo], CommandInfo] = {}
"""The info of each batch of one command. The command table bounds it, because only known commands get an entry."""


def common_info(kind: str, census: Census) -> CommandInfo:
    """Return the info that names a batch, such as ``PIPELINE SET`` or ``MULTI SET``.

    If the commands differ, or the command is not in the command table, the name is ``PIPELINE`` or ``MULTI`` alone.

    Args:
        kind: ``PIPELINE`` or ``MULTI``.
        census: How often each command occurs in the batch.
    """
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
    """Return the first exception in the response of a batch with ``raise_on_error=False``; None if there is none."""
    # The response has many answers but few types, so checking the types is cheaper.
    if type(response) is list and any(issubclass(kind, Exception) for kind in set(map(type, response))):
        for answer in response:
            if isinstance(answer, Exception):
                return answer
    return None


def count_groups(census: Census) -> None:
    """Count every command of a batch in the self-metric ``operations``, by its group."""
    for info, count in census.items():
        SLOT.runtime.self_metrics.add("operations", info.group, count)
