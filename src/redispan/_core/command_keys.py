"""Which arguments of a command are keys.

Positions count from 1 at the first argument after the command's name, as the server's own documentation does:

- ``-``: none.
- ``1``, ``1:2``, ``1:-2``, ``1:-1:2``: first, last (negative: from the end) and step.
- ``n2``, ``n1:2``: argument 2 says how many keys follow it (``:2``: each is followed by a value).
- ``1+n2``: the first argument is a key too (a destination).
- ``streams``: the first half of what follows the word STREAMS.
- ``store:STORE,STOREDIST@5``: the first argument, and what follows one of these words from argument 5 on.

When the arguments don't fit the rule no key is found: better to name none than to take a value for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redispan._core.arguments import plain

READ_OPTIONS = {"COUNT": 1, "BLOCK": 1, "GROUP": 2, "NOACK": 0, "CLAIM": 1, "MAXCOUNT": 1, "MAXSIZE": 1}
"""Options of XREAD and XREADGROUP with how many values follow each."""

_SORT_OPTIONS = {"BY": 1, "GET": 1, "LIMIT": 2}
"""Options beside STORE whose values could be mistaken for the word STORE."""

_LONGEST_WORD = 32


@dataclass(frozen=True, slots=True)
class KeyRule:
    """Where keys are; use ``key_positions``.

    Attributes:
        first: Position of the first key; 0: no key at a fixed position.
        last: Position of the last one; negative: from the end.
        step: Distance between keys.
        numkeys_at: Position of the argument that says how many keys follow it; 0: there is none.
        streams: Keys follow the word STREAMS.
        store_words: Words that a destination key follows.
        store_from: Position of the first argument that may be such a word.
    """

    first: int = 0
    last: int = 0
    step: int = 1
    numkeys_at: int = 0
    streams: bool = False
    store_words: frozenset[str] = frozenset()
    store_from: int = 0


NO_KEYS = KeyRule()


def parse_key_rule(text: str) -> KeyRule:
    """The rule that ``text`` (a cell of the command table) describes."""
    if text == "-":
        return NO_KEYS
    if text == "streams":
        return KeyRule(streams=True)
    if text.startswith("store:"):
        words, _, start = text[len("store:") :].partition("@")
        return KeyRule(first=1, last=1, store_words=frozenset(words.split(",")), store_from=int(start))
    fixed, _, counted = text.partition("n")
    if counted:
        numkeys_at, _, step = counted.partition(":")
        first = int(fixed.rstrip("+") or 0)
        return KeyRule(first=first, last=first, step=int(step or 1), numkeys_at=int(numkeys_at))
    numbers = [int(part) for part in fixed.split(":")]
    return KeyRule(
        first=numbers[0],
        last=numbers[1] if len(numbers) > 1 else numbers[0],
        step=numbers[2] if len(numbers) > 2 else 1,
    )


def key_positions(rule: KeyRule, arguments: Sequence[object]) -> Sequence[int]:
    """Indices (from 0) of the keys in ``arguments``, the arguments after the command's name."""
    if rule.streams:
        return _after_streams(arguments)
    if rule.numkeys_at:
        return _counted(rule, arguments)
    if not rule.first:
        return ()
    count = len(arguments)
    last = rule.last if rule.last > 0 else count + 1 + rule.last
    if last > count or rule.first > last:
        return ()
    if rule.step > 1 and (last - rule.first + 1) % rule.step:
        return ()
    fixed = range(rule.first - 1, last, rule.step)
    if rule.store_words:
        return (*fixed, *_after_words(rule, arguments))
    return fixed


def _counted(rule: KeyRule, arguments: Sequence[object]) -> Sequence[int]:
    number = as_int(arguments[rule.numkeys_at - 1]) if len(arguments) >= rule.numkeys_at else None
    if number is None or number < 0 or rule.numkeys_at + number * rule.step > len(arguments):
        return ()
    counted = range(rule.numkeys_at, rule.numkeys_at + number * rule.step, rule.step)
    return (rule.first - 1, *counted) if rule.first else counted


def _after_streams(arguments: Sequence[object]) -> Sequence[int]:
    at = 0
    while at < len(arguments):
        word = as_word(arguments[at])
        if word == "STREAMS":
            rest = len(arguments) - at - 1
            return range(at + 1, at + 1 + rest // 2) if rest % 2 == 0 else ()
        if word not in READ_OPTIONS:
            return ()
        at += 1 + READ_OPTIONS[word]
    return ()


def _after_words(rule: KeyRule, arguments: Sequence[object]) -> Sequence[int]:
    found = []
    at = rule.store_from - 1
    while at < len(arguments) - 1:
        word = as_word(arguments[at])
        if word in rule.store_words:
            found.append(at + 1)
            at += 1
        at += 1 + _SORT_OPTIONS.get(word, 0)
    return found


def as_word(value: object) -> str:
    """An option word in upper case; empty for anything that can't be one."""
    found = plain(value)
    if not isinstance(found, (str, bytes, bytearray)) or len(found) > _LONGEST_WORD:
        return ""
    word = found if isinstance(found, str) else found.decode("ascii", "replace")
    return word.upper() if word.isascii() else ""


def as_int(value: object) -> int | None:
    """A whole number as redis-py would send it; None for anything else."""
    found = plain(value)
    if isinstance(found, int):
        return int(found)
    word = as_word(value)
    return int(word) if word.isdigit() else None
