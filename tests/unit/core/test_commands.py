"""Command names come only from the command table, whatever arguments a program passes."""

import hashlib
import random
import string
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core import commands
from redispan._core.commands import COMMANDS, UNKNOWN, identify, rows, words_after_name, words_in_name

ALLOWED_NAMES = {*COMMANDS, *(name.lower() for name in COMMANDS), "_OTHER"}
TABLE_SHA256 = "b7c616edaa6d139a131f3f7a63167cc4c5528a6a0fa4251dfcb1781825dfe05f"
"""Of all 660 rows, as the table in code gave them before it became a text file. A row that is added changes it."""

ANYTHING = st.one_of(
    st.text(), st.binary(), st.integers(), st.floats(), st.none(), st.booleans(), st.binary().map(memoryview)
)


class EvilText(str):
    """A command word whose methods all fail."""

    __slots__ = ()

    def _fail(self, *_: object) -> bool:
        raise RuntimeError("evil")

    __hash__ = __eq__ = __len__ = __str__ = upper = lower = split = _fail  # type: ignore[assignment]


class EvilBytes(bytes):
    """Bytes that run the program's code when they are sliced."""

    def __getitem__(self, _: object) -> bytes:  # type: ignore[override]
        raise RuntimeError("evil")


class Liar:
    """An object that raises when its class is read."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("evil")


class Word(str, Enum):
    GET = "GET"


@pytest.mark.parametrize(
    ("args", "name", "in_name", "after_name"),
    [
        (("GET", "k"), "GET", 1, 0),
        (("get", "k"), "get", 1, 0),
        (("Get", "k"), "GET", 1, 0),
        ((b"GET", "k"), "GET", 1, 0),
        ((b"get", "k"), "get", 1, 0),
        ((bytearray(b"GET"), "k"), "GET", 1, 0),
        ((memoryview(b"GET"), "k"), "GET", 1, 0),
        ((Word.GET, "k"), "GET", 1, 0),
        ((" GET\t", "k"), "GET", 1, 0),
        (("SET user:1 s3cret",), "SET", 1, 2),
        (("  set   user:1  s3cret ",), "set", 1, 2),
        ((b"SET user:1", "s3cret"), "SET", 1, 1),
        (("CONFIG GET", "x"), "CONFIG GET", 1, 0),
        (("CONFIG   GET", "x"), "CONFIG GET", 1, 0),
        (("CONFIG", "GET", "x"), "CONFIG GET", 2, 0),
        ((b"CONFIG", b"GET", "x"), "CONFIG GET", 2, 0),
        ((b"CONFIG GET",), "CONFIG GET", 1, 0),
        (("config get", "x"), "config get", 1, 0),
        (("config", "get", "x"), "config get", 2, 0),
        (("CONFIG", "get", "x"), "CONFIG GET", 2, 0),
        (("CONFIG SET requirepass s3cret",), "CONFIG SET", 1, 2),
        (("CONFIG",), "CONFIG", 1, 0),
        (("CONFIG", "s3cret"), "CONFIG", 1, 0),
        (("CONFIG s3cret",), "CONFIG", 1, 1),
        (("GET", "GET"), "GET", 1, 0),
        (("COMMAND",), "COMMAND", 1, 0),
        (("COMMAND", "DOCS", "get"), "COMMAND DOCS", 2, 0),
        (("JSON.DEBUG", "MEMORY", "k"), "JSON.DEBUG MEMORY", 2, 0),
        (("s3cret",), "_OTHER", 1, 0),
        (("s3cret a b", "c"), "_OTHER", 1, 2),
        (("GETX",), "_OTHER", 1, 0),
        (("\u0131ncr", "k"), "_OTHER", 1, 0),
        (("",), "_OTHER", 1, 0),
        (("  ",), "_OTHER", 1, 0),
        ((1, "GET"), "_OTHER", 1, 0),
        ((None,), "_OTHER", 1, 0),
        (([],), "_OTHER", 1, 0),
        ((), "_OTHER", 0, 0),
    ],
)
def test_every_spelling_of_a_command_gets_its_name_and_no_argument_does(
    args: tuple[object, ...], name: str, in_name: int, after_name: int
) -> None:
    """redispan splits words as redis-py does. Only entries of the table become names."""
    info = identify(args)
    assert info.name == name
    assert (words_in_name(args, info), words_after_name(args, info)) == (in_name, after_name)
    assert info.known is (name != "_OTHER")


@pytest.mark.parametrize("args", [("GET", "a"), ("get", "a"), ("CONFIG", "GET", "a"), ("config", "get"), (b"GET", "a")])
def test_one_command_is_one_object(args: tuple[object, ...]) -> None:
    """One command is always the same object, because the caches of spans and metrics use its identity as key."""
    assert identify(args) is identify(tuple(args))


def test_lower_case_keeps_everything_but_the_name() -> None:
    """A command written in lower case keeps all the properties of its table entry."""
    for name, info in COMMANDS.items():
        lower = identify((name.lower(),))
        assert lower.name == name.lower()
        fields = set(info.__slots__) - {"name"}
        assert all(getattr(lower, field) == getattr(info, field) for field in fields)


@given(st.lists(ANYTHING, max_size=5))
def test_any_arguments_give_a_name_of_the_table(args: list[object]) -> None:
    """``identify`` returns an entry of the table for any arguments."""
    assert identify(args).name in ALLOWED_NAMES


@given(st.sampled_from(sorted(COMMANDS)), st.text(), st.lists(ANYTHING, max_size=3))
def test_text_after_a_known_word_never_enters_the_name(name: str, tail: str, rest: list[object]) -> None:
    """Text after the command in the same string is an argument and never part of the name."""
    assert identify([f"{name} {tail}", *rest]).name in ALLOWED_NAMES


@pytest.mark.parametrize("args", [(EvilText("GET"), "k"), (Liar(),), ("CONFIG", Liar()), ("CONFIG", EvilText("GET"))])
def test_hostile_objects_break_nothing(args: tuple[object, ...]) -> None:
    """An argument that raises when it is touched still gives a name, and no exception."""
    assert identify(args).name in {"GET", "CONFIG", "CONFIG GET", "_OTHER"}


@pytest.mark.parametrize(
    ("args", "name"), [((b"CONFIG", EvilBytes(b"GET")), "CONFIG GET"), ((EvilBytes(b"GET"),), "GET")]
)
def test_bytes_of_the_program_are_read_without_its_code(args: tuple[object, ...], name: str) -> None:
    """redispan reads a bytes subclass of the program as plain bytes and runs none of its methods."""
    assert identify(args).name == name


@pytest.mark.parametrize("args", [None, 5, object()])
def test_what_is_no_sequence_is_unknown(args: object) -> None:
    """``identify`` also returns a command for a call without an argument list."""
    assert identify(args) is UNKNOWN  # type: ignore[arg-type]


def test_thousands_of_random_commands_give_a_bounded_set_of_names() -> None:
    """Thousands of invented commands increase neither the number of names nor the memory behind them."""
    chance = random.Random(7)
    known = sorted(COMMANDS)

    def word() -> str:
        if chance.random() < 0.5:
            text = chance.choice(known)
            return "".join(c.lower() if chance.random() < 0.5 else c for c in text)
        return "".join(chance.choices(string.ascii_letters + " .-", k=chance.randint(1, 12)))

    names = {identify((word(), word())).name for _ in range(10_000)}
    assert names <= ALLOWED_NAMES
    assert len(commands._LOWER_CASE) <= len(COMMANDS)
    assert len(commands.AT_ONCE) <= 2 * len(COMMANDS)


def test_the_table_names_every_command_once() -> None:
    """The table lists every command once. A command in two groups would silently have two sets of properties."""
    names = [row.name for row in rows()]
    assert len(names) == len(set(names))
    assert all(name == name.upper() and name.isascii() for name in names)


def test_every_sub_command_has_its_container() -> None:
    """The table has the container of every sub-command, because an unknown sub-command falls back to it."""
    assert all(name.partition(" ")[0] in COMMANDS for name in COMMANDS)


def test_flags_of_the_table_are_known_words() -> None:
    """Every flag in the table is a known one. A misspelt flag would silently have no effect."""
    words = {"long", "secret", "pure"}
    kinds = {"last_s", "first_s", "fifth_s", "last_ms", "block_ms", "forever"}
    flags = {flag for line in _table_lines() for flag in line.split()[3:]}
    assert {flag for flag in flags if not flag.startswith("block=")} == words
    assert {flag.removeprefix("block=") for flag in flags if flag.startswith("block=")} == kinds


def _table_lines() -> list[str]:
    return [line for line in commands.table_lines() if not line.startswith("[")]


def test_only_harmless_commands_may_be_replayed() -> None:
    """redispan marks no write, script, blocking read or unknown command as replayable.

    Repeating one could double its effect or lose data.
    """
    for info in [*COMMANDS.values(), UNKNOWN]:
        if info.replay_safe:
            assert info.access != "write", info.name
            assert info.blocking is None, info.name
            assert not info.long_running, info.name
            assert info.known, info.name
    for name in ("INCR", "LPUSH", "XADD", "PUBLISH", "SPUBLISH", "BLPOP", "EVAL", "EVAL_RO", "FCALL_RO", "EXEC", "SET"):
        assert not COMMANDS[name].replay_safe, name
    for name in ("XREAD", "XREADGROUP", "TS.READ", "FT.CURSOR READ", "GETDEL", "SPOP", "AUTH", "WATCH", "SELECT"):
        assert not COMMANDS[name].replay_safe, name
    for name in ("GET", "MGET", "HGETALL", "ZRANGE", "SCAN", "EXISTS", "TTL", "PING", "JSON.GET"):
        assert COMMANDS[name].replay_safe, name


def test_what_may_take_long_is_marked() -> None:
    """The table marks commands that may take long. redispan must never cut their timeout below the library's own."""
    names = ("EVAL", "EVALSHA", "FCALL", "MIGRATE", "SORT", "KEYS", "EXEC", "SAVE", "FLUSHALL", "DEBUG", "DEBUG SLEEP")
    assert all(COMMANDS[name].long_running for name in names)
    assert all(info.long_running for name, info in COMMANDS.items() if name.startswith("FT."))
    assert UNKNOWN.long_running


def test_what_carries_credentials_or_programs_is_secret() -> None:
    """redispan shows no argument of a command that carries credentials or programs, whatever the mode."""
    names = ("AUTH", "HELLO", "MIGRATE", "EVAL", "EVAL_RO", "SCRIPT LOAD", "FUNCTION LOAD", "SENTINEL SET", "CLIENT")
    assert all(COMMANDS[name].secret for name in names)
    families = ("ACL", "CONFIG", "DEBUG", "FT.CONFIG")
    assert all(info.secret for name, info in COMMANDS.items() if name.split()[0] in families)
    assert UNKNOWN.secret


def test_the_text_file_gives_the_same_commands() -> None:
    """The text file yields every row of the table once and unchanged. A lost row would hide a command."""
    found = [tuple(row) for row in rows()]
    assert len(found) == len({row[0] for row in found}) == 660
    assert hashlib.sha256("\n".join(map(repr, found)).encode()).hexdigest() == TABLE_SHA256
