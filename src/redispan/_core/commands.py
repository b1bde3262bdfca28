"""Which command a call is, without ever taking an argument for a name, and what is known about it.

``execute_command("SET user:1 s3cret")`` is legal redis-py: a command word must be looked up, never trusted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from redispan._core.command_keys import NO_KEYS, READ_OPTIONS, KeyRule, as_word, key_positions, parse_key_rule
from redispan._core.command_table import Row, rows

_LONGEST_CALL_TEXT = 4096
"""Of a whole command given as one string no more than this is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class CommandInfo:
    """What is known of a command. Compared and hashed by identity: it is a dictionary key on the hot path.

    Attributes:
        name: ``GET``, ``CONFIG GET``; ``_OTHER`` for a command that isn't in the table. Never an argument.
        group: The family, such as ``string``, ``hash``, ``server``, ``search``; ``unknown``.
        access: What it does to the keyspace: ``read``, ``write`` or ``other``.
        keys: Where its keys are; ask ``key_arguments``.
        blocking: Where the time is that the server may hold the reply: ``last_s``, ``first_s``, ``fifth_s`` and
            ``last_ms`` (last, first, fifth argument), ``block_ms`` (after the word BLOCK), ``forever``, or None.
        long_running: May honestly take long: its timeout must never be cut below the library's own.
        secret: None of its arguments may ever be shown, keys included.
        replay_safe: Changes nothing, blocks nothing and is quick, so it may be repeated after an ambiguous failure.
        known: It is in the table.
    """

    name: str
    group: str
    access: str
    keys: KeyRule
    blocking: str | None
    long_running: bool
    secret: bool
    replay_safe: bool
    known: bool


UNKNOWN = CommandInfo(
    name="_OTHER",
    group="unknown",
    access="other",
    keys=NO_KEYS,
    blocking=None,
    long_running=True,
    secret=True,
    replay_safe=False,
    known=False,
)
"""Any command that isn't in the table."""


def _info(row: Row) -> CommandInfo:
    return CommandInfo(
        name=row.name,
        group=row.group,
        access=row.access,
        keys=parse_key_rule(row.keys),
        blocking=row.blocking,
        long_running=row.long_running,
        secret=row.secret,
        replay_safe=(row.pure or row.access == "read") and not row.long_running and row.blocking is None,
        known=True,
    )


COMMANDS: dict[str, CommandInfo] = {row.name: _info(row) for row in rows()}
"""Every known command by its upper-case name, containers alone (``CONFIG``) and with their sub-commands included."""

_CONTAINERS = frozenset(name.partition(" ")[0] for name in COMMANDS if " " in name)
AT_ONCE = {name: info for name, info in COMMANDS.items() if name not in _CONTAINERS}
"""Commands that their first argument tells; not a container alone, whose second word may be in the next argument."""
_LOWER_CASE: dict[str, CommandInfo] = {}
"""The same commands as written by programs in lower case; at most one entry per known command."""


def identify(args: Sequence[object]) -> CommandInfo:
    """The command that ``args`` (name first) calls. Never raises; anything not in the table is ``UNKNOWN``."""
    try:
        word = args[0]
        if type(word) is str:
            found = AT_ONCE.get(word)
            if found is not None:
                return found
        return _identify_slowly(args)
    except Exception:  # whatever the arguments are, the caller's call must go on
        return UNKNOWN


def words_in_name(args: Sequence[object], info: CommandInfo) -> int:
    """How many leading arguments the name took: 1 for ``("CONFIG GET", ...)``, 2 for ``("CONFIG", "GET", ...)``."""
    if not len(args):
        return 0
    return 2 if " " in info.name and len(_words(args[0])) == 1 and len(args) > 1 else 1


def words_after_name(args: Sequence[object], info: CommandInfo) -> int:
    """How many arguments are hidden in the first string: 2 for ``("SET key value",)``, normally 0."""
    if not len(args) or _is_plain(args[0], info):
        return 0
    words = len(_words(args[0]))
    return max(0, words - (2 if " " in info.name else 1))


def key_arguments(info: CommandInfo, args: Sequence[object]) -> Sequence[object]:
    """The arguments that are keys; none where they can't be told from values for certain."""
    try:
        arguments = args[words_in_name(args, info) :]
        if words_after_name(args, info):
            return ()
        return [arguments[at] for at in key_positions(info.keys, arguments)]
    except Exception:
        return ()


def block_budget_s(info: CommandInfo, args: Sequence[object]) -> float | None:
    """For how many seconds the server may hold the reply; ``inf`` for ever, None if it doesn't as called."""
    kind = info.blocking
    if kind is None:
        return None
    if kind == "forever":
        return math.inf
    try:
        if not _is_plain(args[0], info) and len(_words(args[0])) > 1:
            args = [*_words(args[0]), *args[1:]]
        return _budget(kind, args, 1 if info.keys.streams else 3)
    except Exception:
        return None


def _budget(kind: str, args: Sequence[object], options_at: int) -> float | None:
    if kind == "last_s":
        return _seconds(args[-1])
    if kind == "first_s":
        return _seconds(args[1])
    if kind == "fifth_s":
        return _seconds(args[5])
    if kind == "last_ms":
        return _seconds(args[-1], 1000.0)
    at = options_at
    while (word := as_word(args[at])) != "STREAMS":
        if word == "BLOCK":
            return _seconds(args[at + 1], 1000.0)
        at += 1 + READ_OPTIONS.get(word, 0)
    return None


def _is_plain(first: object, info: CommandInfo) -> bool:
    return type(first) is str and first == info.name  # never compares bytes with str, which `python -bb` forbids


def _seconds(value: object, per_second: float = 1.0) -> float | None:
    if not isinstance(value, (int, float, str, bytes)):
        return None
    number = float(value)
    if number > 0:
        return number / per_second
    return math.inf if number == 0 else None


def _identify_slowly(args: Sequence[object]) -> CommandInfo:
    words = _words(args[0])
    if not words:
        return UNKNOWN
    first = words[0]
    upper = as_word(first)
    if upper in _CONTAINERS:
        second = words[1] if len(words) > 1 else _text(args[1]) if len(args) > 1 else ""
        found = COMMANDS.get(f"{upper} {as_word(second)}")
        if found is not None:
            return _as_spelled(found, f"{first} {second}")
    found = COMMANDS.get(upper)
    return UNKNOWN if found is None else _as_spelled(found, first)


def _as_spelled(info: CommandInfo, spelling: str) -> CommandInfo:
    """The variant in lower case for a program that writes so: the conventions want names as the program gave them."""
    lower = info.name.lower()
    if spelling != lower:
        return info
    found = _LOWER_CASE.get(lower)
    if found is None:
        found = _LOWER_CASE.setdefault(lower, replace(info, name=lower))
        if lower.upper() not in _CONTAINERS:
            AT_ONCE[lower] = found
    return found


def _words(first: object) -> list[str]:
    """The words of a first argument, split as redis-py does before sending them."""
    return _text(first)[:_LONGEST_CALL_TEXT].split()


def _text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        # Not `value[...]`, which in a subclass is the program's own code.
        return bytes.__getitem__(value, slice(_LONGEST_CALL_TEXT)).decode("latin-1")
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value[:_LONGEST_CALL_TEXT]).decode("latin-1")
    return ""


_FIRST = itemgetter(0)
_PLAIN_WORDS = {str}


class Census(dict[CommandInfo, int]):
    """How often each command occurs.

    Attributes:
        plain: Each is told by its first argument alone, which is its name as the table has it and nothing else.
    """

    plain = False


def census_of(commands: Sequence[Sequence[object]]) -> Census:
    """Count the commands of a batch; never raises, whatever they are."""
    try:
        # Nearly all are plain words. Only such are compared: comparing bytes with str is what `python -bb` forbids,
        # and a class of the program's may do anything when it is.
        words = list(map(_FIRST, commands))
        if set(map(type, words)) == _PLAIN_WORDS:
            first = words[0]
            counts = {first: len(words)} if words.count(first) == len(words) else Counter(words)
            found = Census({AT_ONCE[word]: count for word, count in counts.items()})
            found.plain = True
            return found
    except Exception:  # noqa: S110 - an empty command, or a word that is not in the table as it stands
        pass
    return Census(Counter([identify(args) for args in commands]))
