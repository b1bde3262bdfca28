"""Parses a server's answers to the probe: pure functions that return the figures of a ``ServerReading``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from redispan._core.commands import identify

_NUMBERS = (
    "connected_clients", "blocked_clients", "maxclients", "instantaneous_ops_per_sec", "uptime_in_seconds",
    "mem_fragmentation_ratio", "evicted_keys", "expired_keys", "keyspace_hits", "keyspace_misses",
    "rejected_connections", "connected_slaves", "used_memory_peak", "total_error_replies",
)  # fmt: skip
_WORDS = ("redis_version", "valkey_version", "redis_mode", "role", "maxmemory_policy", "rdb_last_bgsave_status")
_WORD_LIMIT = 60


def parse_info(text: str) -> dict[str, str]:
    """Return the fields of an answer to INFO, by name."""
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, colon, value in pairs if colon}


def number(value: Any) -> int | float | None:
    """Parse a number as servers write it: an int if it is whole, else a float; None if it is no finite number."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(found):
        return None
    return int(found) if found.is_integer() else found


def whole(value: Any) -> int | None:
    """Parse a number and drop its fraction; None if it is no finite number."""
    found = number(value)
    return None if found is None else int(found)


def figures_of(info: Mapping[str, str]) -> dict[str, float | int | str]:
    """Return the figures from INFO that are worth showing.

    To the fields of INFO it adds ``hit_ratio`` (hits divided by hits and misses, if there are any) and ``keys`` (the
    number of keys in all databases).
    """
    found: dict[str, float | int | str] = {}
    for name in _NUMBERS:
        value = number(info.get(name))
        if value is not None:
            found[name] = value
    for name in _WORDS:
        if info.get(name):
            found[name] = info[name][:_WORD_LIMIT]
    hits, misses = number(info.get("keyspace_hits")), number(info.get("keyspace_misses"))
    if hits is not None and misses is not None and hits + misses:
        found["hit_ratio"] = hits / (hits + misses)
    keys = [whole(value.partition("keys=")[2].partition(",")[0]) for name, value in info.items() if _is_db(name)]
    found["keys"] = sum(count for count in keys if count is not None)
    return found


def _is_db(name: str) -> bool:
    return name.startswith("db") and name[2:].isdigit()


def slowlog_figures(length: Any, entries: Any) -> dict[str, float | int | str]:
    """Return the slow log's length, and the duration and name of its slowest command. No argument is returned.

    Args:
        length: The answer to SLOWLOG LEN.
        entries: The answer to SLOWLOG GET.
    """
    found: dict[str, float | int | str] = {"slowlog_length": whole(length) or 0}
    if not isinstance(entries, Sequence):
        return found
    slowest = max(
        (entry for entry in entries if isinstance(entry, Sequence) and len(entry) > 3),
        key=lambda entry: whole(entry[2]) or 0,
        default=None,
    )
    if slowest is not None and slowest[3]:
        found["slowlog_slowest_ms"] = (whole(slowest[2]) or 0) / 1000
        # The name comes from the command table, so that it cannot be an argument.
        found["slowlog_slowest_command"] = identify(tuple(slowest[3][:2])).name
    return found


def latency_figures(events: Any) -> dict[str, float | int | str]:
    """Return the longest duration of each event, in milliseconds, from the answer to LATENCY LATEST.

    Only the first 20 events are read.
    """
    found: dict[str, float | int | str] = {}
    for event in (events if isinstance(events, Sequence) else ())[:20]:
        if isinstance(event, Sequence) and len(event) > 3:
            name = event[0].decode("ascii", "replace") if isinstance(event[0], bytes) else str(event[0])
            if name.replace("-", "").isalnum():
                found[f"latency_{name[:_WORD_LIMIT]}_max_ms"] = whole(event[3]) or 0
    return found
