"""Rules that find the keys among the arguments of a command.

The command table (``commands.txt``) writes a rule as text. Positions count from 1 at the first argument after the
command's name, as in the documentation of Redis:

- ``-``: The command has no keys.
- ``1``, ``1:2``, ``1:-2``, ``1:-1:2``: The first key, the last key (negative: counted from the end) and the step.
- ``n2``, ``n1:2``: Argument 2 (or 1) is the number of keys that follow it. With ``:2``, a value follows each key.
- ``1+n2``: The first argument is a key too (a destination).
- ``streams``: The keys are the first half of the arguments after the word STREAMS.
- ``store:STORE,STOREDIST@5``: The keys are the first argument, and the argument after one of these words, which are
  looked for from argument 5 on.

If the arguments don't fit the rule, no key is found, so that a value is never taken for a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

READ_OPTIONS = {"COUNT": 1, "BLOCK": 1, "GROUP": 2, "NOACK": 0, "CLAIM": 1, "MAXCOUNT": 1, "MAXSIZE": 1}
"""The options of XREAD and XREADGROUP, and the number of values that follow each."""

_SORT_OPTIONS = {"BY": 1, "GET": 1, "LIMIT": 2}
"""The options of SORT whose values could be mistaken for the word STORE, and the number of values of each."""

_LONGEST_WORD = 32


@dataclass(frozen=True, slots=True)
class KeyRule:
    """The positions of the keys of a command; ``key_positions`` applies it to the arguments of a call.

    Attributes:
        first: The position of the first key; 0 if no key has a fixed position.
        last: The position of the last key; a negative number counts from the end.
        step: The distance between two keys.
        numkeys_at: The position of the argument that gives the number of keys after it; 0 if there is none.
        streams: Whether the keys follow the word STREAMS.
        store_words: The words that are followed by a destination key.
        store_from: The position of the first argument that may be one of ``store_words``.
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
    """Return the rule that ``text``, a field of the command table, describes."""
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
    """Return the indices (from 0) of the keys in ``arguments``, which are the arguments after the command's name."""
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
    """Return an option word in upper case; an empty string for a value that cannot be an option word."""
    found = plain(value)
    if not isinstance(found, (str, bytes, bytearray)) or len(found) > _LONGEST_WORD:
        return ""
    word = found if isinstance(found, str) else found.decode("ascii", "replace")
    return word.upper() if word.isascii() else ""


def as_int(value: object) -> int | None:
    """Return a whole number as redis-py would send it; None for any other value."""
    found = plain(value)
    if isinstance(found, int):
        return int(found)
    word = as_word(value)
    return int(word) if word.isdigit() else None


def plain(value: object) -> object:
    """Return the ``str``, ``bytes`` or ``int`` in an argument as the built-in type, and any other value unchanged.

    This never raises. A ``bool`` is returned unchanged too.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__add__(value, 0)
    return value
