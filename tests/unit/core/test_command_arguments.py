"""Finding keys and blocking times among the arguments of a command."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core.commands import COMMANDS, block_budget_s, identify, key_arguments

ANYTHING = st.one_of(st.text(max_size=8), st.binary(max_size=8), st.integers(), st.floats(), st.none())
OPTIONS = st.sampled_from(["STREAMS", "BLOCK", "COUNT", "GROUP", "STORE", "BY", "GET", 0, 1, 2, "2", b"BLOCK"])


@pytest.mark.parametrize(
    ("call", "keys"),
    [
        ("GET k", "k"),
        ("SET k v EX 1", "k"),
        ("MGET a b c", "a b c"),
        ("MSET a 1 b 2", "a b"),
        ("MSET a 1 b", ""),
        ("MSETEX 2 a 1 b 2 EX 9", "a b"),
        ("MSETEX 3 a 1 b 2 EX", ""),
        ("BLPOP a b 0", "a b"),
        ("BLPOP a", ""),
        ("BLMPOP 1 2 a b LEFT", "a b"),
        ("LMPOP 1 a LEFT", "a"),
        ("LMOVE a b LEFT RIGHT", "a b"),
        ("ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d a b"),
        ("ZUNIONSTORE d 3 a b", ""),
        ("ZUNION x a b", ""),
        ("ZDIFF -1 a", ""),
        ("EVALSHA sha 2 a b v", "a b"),
        ("EVALSHA sha 0 v", ""),
        ("FCALL f 1 a v", "a"),
        ("XREAD COUNT 2 BLOCK 0 STREAMS a b $ $", "a b"),
        ("XREAD STREAMS a b $", ""),
        ("XREADGROUP GROUP STREAMS me STREAMS a >", "a"),
        ("XREADGROUP GROUP g me NEWOPTION x STREAMS a >", ""),
        ("OBJECT ENCODING k", "k"),
        ("OBJECT FREQ", ""),
        ("XINFO STREAM k FULL", "k"),
        ("MEMORY USAGE k SAMPLES 5", "k"),
        ("BITOP AND d a b", "d a b"),
        ("SORT k BY STORE GET STORE LIMIT 0 1 STORE d", "k d"),
        ("SORT k", "k"),
        ("GEORADIUSBYMEMBER k STORE 5 km STOREDIST d", "k d"),
        ("JSON.MSET a $ 1 b $ 2", "a b"),
        ("JSON.MGET a b $", "a b"),
        ("TS.MADD a 1 2 b 1 2", "a b"),
        ("HIMPORT SET k fields v", "k"),
        ("MIGRATE host 6379 k 0 5000", ""),
        ("PUBLISH channel message", ""),
        ("FT.SEARCH index query", ""),
        ("AUTH user password", ""),
        ("NOSUCHCOMMAND a b", ""),
    ],
)
def test_keys_are_found_where_the_server_finds_them(call: str, keys: str) -> None:
    """Each rule of the table finds its keys. Where the arguments do not fit the rule, redispan finds no key."""
    args = call.split()
    assert list(key_arguments(identify(args), args)) == keys.split()


@pytest.mark.parametrize("args", [("GET secret",), ("MGET a", "b"), (b"SET k", "v"), ()])
def test_arguments_inside_the_command_string_are_never_keys(args: tuple[object, ...]) -> None:
    """redispan takes no key from a command string that holds more than the command. Its parts can't be trusted."""
    assert list(key_arguments(identify(args), args)) == []


@given(st.sampled_from(sorted(COMMANDS)), st.lists(st.one_of(ANYTHING, OPTIONS), max_size=12))
def test_keys_are_arguments_and_nothing_else(name: str, arguments: list[object]) -> None:
    """The keys found in any call are some of its arguments, and never the name of the command."""
    args = [*name.split(), *arguments]
    info = identify(args)
    identities = {id(argument) for argument in args[1:]}
    assert all(id(key) in identities for key in key_arguments(info, args))


@pytest.mark.parametrize(
    ("args", "budget_s"),
    [
        (("GET", "k"), None),
        (("BLPOP", "k", 5), 5.0),
        (("BLPOP", "k", 0), math.inf),
        (("BLPOP", "k", "0"), math.inf),
        (("BLPOP", "k", b"2.5"), 2.5),
        (("BLPOP", "k", -1), None),
        (("BLPOP", "k", "soon"), None),
        (("BLPOP", "k", math.nan), None),
        (("BLPOP", "k", 10**400), None),
        (("BLPOP", "k", None), None),
        (("BLPOP",), None),
        (("BLPOP k 5",), 5.0),
        ((b"blpop", "k", 5), 5.0),
        (("BLMOVE", "a", "b", "LEFT", "RIGHT", 3), 3.0),
        (("BLMOVEM", "a", "b", "LEFT", "RIGHT", 3, "COUNT", 9, "OBO"), 3.0),
        (("BRPOPLPUSH", "a", "b", 3), 3.0),
        (("BLMPOP", 4, 1, "a", "LEFT"), 4.0),
        (("BZMPOP", 0, 1, "a", "MIN"), math.inf),
        (("BZPOPMIN", "a", "b", 7), 7.0),
        (("WAIT", 1, 4000), 4.0),
        (("WAITAOF", 1, 0, 500), 0.5),
        (("XREAD", "STREAMS", "a", "$"), None),
        (("XREAD", "STREAMS", "BLOCK", "5"), None),
        (("XREAD", b"BLOCK", b"5000", b"STREAMS", "a", "$"), 5.0),
        (("XREAD", "block", 0, "streams", "a", "$"), math.inf),
        (("XREAD", "COUNT", "BLOCK", "BLOCK", 1000, "STREAMS", "a", "$"), 1.0),
        (("XREADGROUP", "GROUP", "BLOCK", "7", "BLOCK", 2000, "STREAMS", "a", ">"), 2.0),
        (("XREADGROUP", "GROUP", "g", "c", "BLOCK"), None),
        (("TS.READ", "BLOCK", 5, "BLOCK", 3000, 1), 3.0),
        (("TS.READ", "k", 5), None),
        (("MONITOR",), math.inf),
        (("SUBSCRIBE", "c"), math.inf),
    ],
)
def test_the_time_a_server_may_hold_the_reply(args: tuple[object, ...], budget_s: float | None) -> None:
    """redispan reads the blocking time as seconds from each form a caller may use.

    An unreadable value gives no budget.
    """
    assert block_budget_s(identify(args), args) == budget_s


@given(st.sampled_from(sorted(COMMANDS)), st.lists(st.one_of(ANYTHING, OPTIONS), max_size=8))
def test_a_budget_is_positive_or_none(name: str, arguments: list[object]) -> None:
    """Any arguments give a usable number of seconds or None, and a number only for commands that may block."""
    args = [*name.split(), *arguments]
    info = identify(args)
    budget_s = block_budget_s(info, args)
    assert budget_s is None or budget_s > 0
    assert budget_s is None or info.blocking is not None
