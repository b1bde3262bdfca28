"""Query text shows what a command does, and none of the data that it carries."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core.commands import COMMANDS, identify, key_arguments
from redispan._semconv.query_text import batch_text, hidden_text, query_text

ANYTHING = st.one_of(st.text(), st.binary(), st.integers(), st.floats(), st.none(), st.binary().map(memoryview))
SECRET = "s3cret"


def text_of(args: object, mode: str, limit: int = 1024) -> str | None:
    """Return the query text of a call."""
    return query_text(identify(args), args, mode, limit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "hidden", "keys"),
    [
        (("GET", "user:1"), "GET ?", "GET user:1"),
        (("SET", "user:1", "v"), "SET ? ?", "SET user:1 ?"),
        (("set", b"user:1", 5), "set ? ?", "set user:1 ?"),
        (("MSET", "a", 1, "b", 2), "MSET ? ? ? ?", "MSET a ? b ?"),
        (("PING",), "PING", "PING"),
        (("CONFIG", "GET", "requirepass"), "CONFIG GET ?", "CONFIG GET ?"),
        (("CONFIG GET", "requirepass"), "CONFIG GET ?", "CONFIG GET ?"),
        (("OBJECT", "ENCODING", "k"), "OBJECT ENCODING ?", "OBJECT ENCODING k"),
        (("AUTH", "me", SECRET), "AUTH ? ?", "AUTH ? ?"),
        (("EVAL", "return 1", 1, "k"), "EVAL ? ? ?", "EVAL ? ? ?"),
        (("EVALSHA", "0a", 1, "k", "v"), "EVALSHA ? ? ? ?", "EVALSHA ? ? k ?"),
        (("SET user:1 s3cret",), "SET ? ?", "SET ? ?"),
        (("SET user:1", SECRET), "SET ? ?", "SET ? ?"),
        ((SECRET, "a"), "_OTHER ?", "_OTHER ?"),
        ((f"{SECRET} a", "b"), "_OTHER ? ?", "_OTHER ? ?"),
        (("GET", ""), "GET ?", 'GET ""'),
        (("GET", "?"), "GET ?", 'GET "?"'),
        (("GET", "two words"), "GET ?", 'GET "two words"'),
        (("GET", 'a"b'), "GET ?", 'GET "a\\"b"'),
        (("GET", "a\nb"), "GET ?", 'GET "a\\nb"'),
        (("GET", b"\xff\x00"), "GET ?", 'GET "\\\\xff\\x00"'),
        (("GET", "\udc80"), "GET ?", 'GET "\\udc80"'),
        (("GET", "ключ"), "GET ?", "GET ключ"),
        (("GET", 42), "GET ?", "GET 42"),
        (("GET", object()), "GET ?", "GET ?"),
        (("GET", "k" * 100), "GET ?", "GET " + "k" * 61 + "..."),
        ((), "_OTHER", "_OTHER"),
    ],
)
def test_hidden_shows_the_command_and_keys_shows_keys(args: tuple[object, ...], hidden: str, keys: str) -> None:
    """Mode hidden shows the command and mode keys also shows keys, for each way to give a command and a key."""
    assert text_of(args, "hidden") == hidden
    assert text_of(args, "keys") == keys
    assert text_of(args, "off") is None


def test_an_unknown_mode_hides() -> None:
    """A misspelt mode shows no argument."""
    assert text_of(("SET", "k", "v"), "kyes") == "SET ? ?"


def test_many_arguments_are_cut_and_marked() -> None:
    """The text of a call with a thousand arguments is short and states how many there are."""
    args = ("MGET", *("k",) * 1000)
    assert text_of(args, "hidden") == "MGET" + " ?" * 50 + " ... (950 more)"
    assert text_of(args, "keys") == "MGET" + " k" * 50 + " ... (950 more)"


def test_the_cacheable_form_is_the_hidden_text() -> None:
    """A caller that caches by number of arguments gets the same text as without the cache."""
    for count in (0, 1, 5, 50, 51, 300):
        assert hidden_text("MGET", count) == text_of(("MGET", *range(count)), "hidden")


@given(st.lists(ANYTHING, max_size=60), st.sampled_from(["hidden", "keys"]), st.integers(0, 200))
def test_text_is_bounded_printable_and_encodable(args: list[object], mode: str, limit: int) -> None:
    """The text of any arguments fits its limit, and every exporter can encode it."""
    text = text_of(["MGET", *args], mode, limit)
    assert text is not None
    assert len(text) <= limit
    assert text.isprintable()
    text.encode()


@given(st.lists(ANYTHING, max_size=5), st.sampled_from(["hidden", "keys"]))
def test_any_call_has_a_text(args: list[object], mode: str) -> None:
    """redispan makes a text of anything that a program passes, without an error."""
    assert text_of(args, mode)


@pytest.mark.parametrize("spelling", ["one", "apart", "lower", "bytes", "inline"])
def test_no_argument_of_any_command_is_shown(spelling: str) -> None:
    """Mode hidden never shows a marked secret, at any position and in any spelling.

    Mode keys shows it only at key positions.
    """
    secrets = [f"{SECRET}{position}" for position in range(9)]
    for name, count in itertools.product(sorted(COMMANDS), range(10)):
        arguments = secrets[:count]
        args: list[object] = {
            "one": [name, *arguments],
            "apart": [*name.split(), *arguments],
            "lower": [name.lower(), *arguments],
            "bytes": [name.encode(), *arguments],
            "inline": [" ".join([name, *arguments])],
        }[spelling]
        info = identify(args)
        assert SECRET not in info.name
        hidden, keys = text_of(args, "hidden"), text_of(args, "keys")
        assert hidden == " ".join([info.name, *"?" * count])
        assert keys is not None
        shown = {word for word in keys.split() if SECRET in word}
        assert shown <= set(key_arguments(info, args))
        assert not (info.secret and shown)
        assert not (spelling == "inline" and shown)


@given(st.text(min_size=1).filter(lambda word: not identify((word,)).known), st.integers(0, 5))
def test_unknown_commands_show_nothing(word: str, count: int) -> None:
    """The text of an unknown command does not even show its name, which may be a value put there by mistake."""
    args = [word, *[SECRET] * count]
    text = text_of(args, "keys")
    assert text is not None
    assert re.fullmatch(r"_OTHER( \?)*( \.\.\. \(\d+ more\))?", text)


@pytest.mark.parametrize(
    ("texts", "limit", "expected"),
    [
        ([], 99, ""),
        (["SET ? ?"], 99, "SET ? ?"),
        (["SET ? ?"] * 1000, 99, "SET ? ?"),
        (["SET ? ?", "GET ?"], 99, "SET ? ?; GET ?"),
        (["GET ?", "GET ?", "SET ? ?"], 99, "GET ?; GET ?; SET ? ?"),
        (["GET ?", "SET ? ?", "SET ? ?"], 99, "GET ?; SET ? ?; SET ? ?"),
        (["SET ? ?", "GET ?"], 10, "SET ? ?..."),
    ],
)
def test_texts_of_a_batch(texts: list[str], limit: int, expected: str) -> None:
    """A batch shows equal texts once and joins different ones, up to the limit."""
    assert batch_text(texts, limit) == expected


@given(st.lists(st.sampled_from(["GET ?", "SET ? ?", "DEL ?"]), max_size=300), st.integers(0, 400))
def test_text_of_a_batch_is_the_joined_text_within_its_limit(texts: list[str], limit: int) -> None:
    """redispan stops early at the limit, and shows the same text as without stopping."""
    joined = texts[0] if len(set(texts)) == 1 else "; ".join(texts)
    text = batch_text(texts, limit)
    assert len(text) <= limit
    assert text == joined if len(joined) <= limit else joined.startswith(text.removesuffix("..."[:limit]))


def test_a_long_batch_is_read_no_further_than_it_can_be_shown() -> None:
    """redispan reads a batch only as far as it can show it.

    A pipeline of a million different commands must not cost a million texts.
    """
    taken = 0

    def stream() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield f"GET {taken}"

    batch_text(stream(), 100)  # type: ignore[arg-type]
    assert taken < 30
