"""Identifying the command of a call, and the facts about each command.

An argument must never be taken for a command name: ``execute_command("SET user:1 s3cret")`` is legal in redis-py. So
every name is looked up in the command table, and a name that is not in the table is never used.
"""

from __future__ import annotations

import math
import pkgutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import NamedTuple

from redispan._core.command_keys import NO_KEYS, READ_OPTIONS, KeyRule, as_word, key_positions, parse_key_rule

_ACCESS = {"r": "read", "w": "write", "-": "other"}
_TABLE = "commands.txt"


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
    for line in table_lines():
        if line.startswith("["):
            group = line.strip("[]")
        else:
            yield _row(group, *line.split())


def table_lines() -> list[str]:
    """Return the lines of ``commands.txt``, which explains its format, without comments and empty lines."""
    try:
        # pkgutil also reads it where redispan is imported from a zip file.
        lines = (pkgutil.get_data(__package__, _TABLE) or b"").decode().splitlines()
    except OSError as fault:
        # For an ImportError, opentelemetry-instrument leaves redispan out and instruments the rest.
        raise ImportError(f"redispan is not complete: {_TABLE} is missing") from fault
    return [line for line in lines if line and not line.startswith("#")]


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


_LONGEST_CALL_TEXT = 4096
"""The number of characters that are read of a command that is given as one string."""


@dataclass(frozen=True, slots=True, eq=False)
class CommandInfo:
    """The facts about one command.

    Instances are compared and hashed by identity, because they are dictionary keys in the path of every call.

    Attributes:
        name: The name, such as ``GET`` or ``CONFIG GET``; ``_OTHER`` for a command that isn't in the table. It never
            contains an argument.
        group: The group of the command, such as ``string``, ``hash``, ``server`` or ``search``; ``unknown`` for a
            command that isn't in the table.
        access: What the command does to the keyspace: ``read``, ``write`` or ``other``.
        keys: The rule that finds its keys; ``key_arguments`` applies it.
        blocking: Which argument gives the time that the server may hold the reply: ``last_s``, ``first_s``,
            ``fifth_s`` or ``last_ms`` (the last, first or fifth argument, in seconds or milliseconds), or ``block_ms``
            (the argument after the word BLOCK). ``forever`` if there is no time limit; None if the command never
            blocks.
        long_running: Whether the command may take long without a fault. Its timeout must never be shorter than
            redis-py's own.
        secret: Whether its arguments, keys included, must never be shown.
        replay_safe: Whether the command may be repeated after an ambiguous failure: it changes nothing, does not block
            and is quick.
        known: Whether the command is in the table.
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
"""The facts about every command that isn't in the table."""


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
"""Every known command by its upper-case name, including containers alone (``CONFIG``) and with their sub-commands."""

_CONTAINERS = frozenset(name.partition(" ")[0] for name in COMMANDS if " " in name)
AT_ONCE = {name: info for name, info in COMMANDS.items() if name not in _CONTAINERS}
"""The commands that can be identified by their first argument alone.

Containers such as ``CONFIG`` are left out, because the second word of the name may be in the next argument.
"""
_LOWER_CASE: dict[str, CommandInfo] = {}
"""The commands that the program wrote in lower case, by that name; at most one entry per known command."""


def identify(args: Sequence[object]) -> CommandInfo:
    """Return the command that ``args`` calls, whose first item is the name.

    This never raises; for a command that is not in the table it returns ``UNKNOWN``.
    """
    try:
        word = args[0]
        if type(word) is str:
            found = AT_ONCE.get(word)
            if found is not None:
                return found
        return _identify_slowly(args)
    except Exception:  # the program's call must go on, whatever its arguments are
        return UNKNOWN


def words_in_name(args: Sequence[object], info: CommandInfo) -> int:
    """Return how many leading arguments the name takes.

    That is 1 for ``("CONFIG GET", ...)`` and 2 for ``("CONFIG", "GET", ...)``.
    """
    if not len(args):
        return 0
    return 2 if " " in info.name and len(_words(args[0])) == 1 and len(args) > 1 else 1


def words_after_name(args: Sequence[object], info: CommandInfo) -> int:
    """Return how many arguments the first string contains after the name: 2 for ``("SET key value",)``, normally 0."""
    if not len(args) or _is_plain(args[0], info):
        return 0
    words = len(_words(args[0]))
    return max(0, words - (2 if " " in info.name else 1))


def key_arguments(info: CommandInfo, args: Sequence[object]) -> Sequence[object]:
    """Return the arguments that are keys; none if keys cannot be told from values with certainty. Never raises."""
    try:
        arguments = args[words_in_name(args, info) :]
        if words_after_name(args, info):
            return ()
        return [arguments[at] for at in key_positions(info.keys, arguments)]
    except Exception:
        return ()


def block_budget_s(info: CommandInfo, args: Sequence[object]) -> float | None:
    """Return for how many seconds the server may hold the reply.

    The result is ``inf`` if there is no time limit, and None if this call does not block. This never raises.
    """
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
    return type(first) is str and first == info.name  # `python -bb` forbids comparing bytes with str


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
    """Return the lower-case variant of ``info`` if the program wrote the name in lower case.

    The database conventions of OpenTelemetry ask for the operation name as the application gives it.
    """
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
    """Return the words of the first argument, split in the way that redis-py splits them before sending."""
    return _text(first)[:_LONGEST_CALL_TEXT].split()


def _text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        # Not `value[...]`, because a subclass may override it with code of the program.
        return bytes.__getitem__(value, slice(_LONGEST_CALL_TEXT)).decode("latin-1")
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value[:_LONGEST_CALL_TEXT]).decode("latin-1")
    return ""


_FIRST = itemgetter(0)
_PLAIN_WORDS = {str}


class Census(dict[CommandInfo, int]):
    """The number of occurrences of each command in a batch.

    Attributes:
        plain: Whether the first argument of every command is exactly its name, as in ``AT_ONCE``.
    """

    plain = False


def census_of(commands: Sequence[Sequence[object]]) -> Census:
    """Count the commands of a batch. Never raises, whatever the batch contains."""
    try:
        # Nearly all names are plain strings. Only such names are compared here: `python -bb` forbids comparing bytes
        # with str, and comparing an instance of a class of the program would run code of the program.
        words = list(map(_FIRST, commands))
        if set(map(type, words)) == _PLAIN_WORDS:
            first = words[0]
            counts = {first: len(words)} if words.count(first) == len(words) else Counter(words)
            found = Census({AT_ONCE[word]: count for word, count in counts.items()})
            found.plain = True
            return found
    except Exception:  # noqa: S110 - an empty command, or a name that is not in AT_ONCE; both are handled below
        pass
    return Census(Counter([identify(args) for args in commands]))
