"""How a program uses Redis as a cache: reads and writes, hits and misses, bytes, and keys without a time to live."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from redispan._core.command_keys import as_word
from redispan._core.commands import CommandInfo, key_arguments
from redispan._insight.key_patterns import PatternTable

FAMILIES_LIMIT = 64

_READS_ONE = frozenset({"GET", "HGET", "GETEX", "LINDEX", "ZSCORE", "JSON.GET", "DUMP"})
_READS_MANY = frozenset({"MGET", "HMGET", "JSON.MGET", "ZMSCORE"})
_READS_COLLECTION = frozenset({"HGETALL", "SMEMBERS", "LRANGE", "ZRANGE", "HVALS", "HKEYS", "XRANGE"})
_COLLECTIONS = frozenset({list, tuple, set, frozenset, dict})
"""The only types whose length is read: a class of the program, from a response callback, may have no length."""
_WITH_TTL = frozenset({"SETEX", "PSETEX", "GETEX"})
_SETS = frozenset({"SET", "SETNX", "MSET", "GETSET", "MSETNX"})
_TTL_WORDS = frozenset({"EX", "PX", "EXAT", "PXAT", "KEEPTTL"})
_EXPIRES = frozenset({"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"})
_ITEMS_MEASURED = 100
_KEYS_MEASURED = 10


@dataclass
class Usage:
    """The usage figures of one command family or key pattern. They are estimates, once operations are sampled.

    Attributes:
        reads: Commands that read.
        writes: Commands that write.
        others: Commands that do neither.
        hits: Lookups that found a value.
        misses: Lookups that found no value.
        bytes_read: Size of the values read.
        bytes_written: Size of the values written.
        lasting_sets: SETs without a time to live.
        expiring_sets: SETs with a time to live, and EXPIREs.
        early_misses: Misses among the first operations of a process, which cache warming would have avoided.
    """

    reads: float = 0.0
    writes: float = 0.0
    others: float = 0.0
    hits: float = 0.0
    misses: float = 0.0
    bytes_read: float = 0.0
    bytes_written: float = 0.0
    lasting_sets: float = 0.0
    expiring_sets: float = 0.0
    early_misses: float = 0.0

    def absorb(self, other: Usage) -> None:
        """Add the figures of ``other`` to these."""
        for field in _FIELDS:
            setattr(self, field, getattr(self, field) + getattr(other, field))

    @property
    def hit_ratio(self) -> float | None:
        """The share of lookups that found a value, or None without lookups."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


_FIELDS = tuple(field.name for field in fields(Usage))


class CachePatterns:
    """The usage by command family and, where keys may be shown, by key pattern."""

    def __init__(self, *, patterns: bool) -> None:
        """Create empty tables.

        Args:
            patterns: Whether redispan may learn key patterns.
        """
        self.patterns = patterns
        self.reset()

    def reset(self) -> None:
        """Forget all figures."""
        self._lock = threading.RLock()
        self.sampled = 0
        self.families: dict[str, Usage] = {}
        self.table: PatternTable[Usage] = PatternTable(Usage)

    def add(self, info: CommandInfo, args: Sequence[Any], response: Any, weight: float, *, early: bool) -> None:
        """Add one command.

        Args:
            info: The command.
            args: Its arguments, name first. Only the pattern of the first keys is kept.
            response: Its result; an exception for a failed command of a batch.
            weight: How many commands this sampled one represents.
            early: Whether it is one of the first operations of the process.
        """
        usage = usage_of(info, args, response, weight, early=early)
        keys = list(key_arguments(info, args))[:_KEYS_MEASURED] if self.patterns and not info.secret else []
        with self._lock:
            self.sampled += 1
            if info.group not in self.families and len(self.families) >= FAMILIES_LIMIT:
                return
            self.families.setdefault(info.group, Usage()).absorb(usage)
            for figures in {id(found): found for found in map(self.table.of, keys)}.values():
                figures.absorb(usage)

    def snapshot(self) -> dict[str, Any]:
        """Return all figures as plain data."""
        with self._lock:
            patterns = {"".join(pattern): asdict(usage) for pattern, usage in self.table.figures.items()}
            families = {family: asdict(usage) for family, usage in self.families.items()}
            return {
                "sampled": self.sampled,
                "families": families,
                "patterns": patterns,
                "patterns_shown": self.patterns,
            }


def usage_of(info: CommandInfo, args: Sequence[Any], response: Any, weight: float, *, early: bool) -> Usage:
    """Return the figures that one command adds. The arguments are those of ``CachePatterns.add``."""
    usage = Usage()
    if info.access == "read":
        usage.reads = weight
    elif info.access == "write":
        usage.writes = weight
    else:
        usage.others = weight
    if isinstance(response, BaseException):
        return usage
    name = info.name.upper()
    hits, misses = hits_and_misses(name, response)
    usage.hits, usage.misses = hits * weight, misses * weight
    usage.early_misses = usage.misses if early else 0.0
    if info.access == "read":
        usage.bytes_read = size_of(response) * weight
    elif info.access == "write":
        usage.bytes_written = sum(size_of(value) for value in args[2 : 2 + _ITEMS_MEASURED]) * weight
    if name in _EXPIRES or name in _WITH_TTL:
        usage.expiring_sets = weight
    elif name in _SETS:
        expires = any(as_word(word) in _TTL_WORDS for word in args[3:])
        usage.expiring_sets, usage.lasting_sets = (weight, 0.0) if expires and name == "SET" else (0.0, weight)
    return usage


def hits_and_misses(name: str, response: Any) -> tuple[int, int]:
    """Count the lookups of one response that found a value, and those that did not."""
    if name in _READS_ONE:
        return (0, 1) if response is None else (1, 0)
    if name in _READS_MANY and type(response) in (list, tuple):
        misses = sum(1 for value in response if value is None)
        return len(response) - misses, misses
    if name in _READS_COLLECTION and type(response) in _COLLECTIONS:
        return (1, 0) if len(response) else (0, 1)
    return 0, 0


def size_of(value: Any) -> int:
    """Estimate how many bytes a value takes on the wire, from the first items if it is a collection."""
    if isinstance(value, (bytes, str)):
        return _length(value)
    if isinstance(value, memoryview):
        return value.nbytes
    kind = type(value)
    if kind is dict:
        return size_of(list(value.keys())[:_ITEMS_MEASURED]) + size_of(list(value.values())[:_ITEMS_MEASURED])
    if kind in _COLLECTIONS:
        items = [item for item, _ in zip(value, range(_ITEMS_MEASURED), strict=False)]
        measured = sum(_length(item) if isinstance(item, (bytes, str)) else 8 for item in items)
        return round(measured * len(value) / len(items)) if items else 0
    return 0 if value is None else 8


def _length(text: bytes | str) -> int:
    return str.__len__(text) if isinstance(text, str) else bytes.__len__(text)
