"""The census of a batch gives the same result as identifying its commands one by one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from redispan._core.commands import COMMANDS, UNKNOWN, census_of, identify

WORDS = st.one_of(
    st.sampled_from([*COMMANDS, "get", "Get", "CONFIG", "GET key", "nonsense"]),
    st.sampled_from([b"GET", bytearray(b"SET"), memoryview(b"GET"), 7, None, [], True, 1]),
    st.text(max_size=5),
)
COMMAND = st.one_of(st.tuples(WORDS), st.tuples(WORDS, WORDS), st.just(()))


@given(st.lists(COMMAND, max_size=30))
def test_same_as_one_by_one(commands):
    """The census counts each command of any batch under the name that it gets when identified alone."""
    assert census_of(commands) == Counter(identify(args) for args in commands)


@given(st.lists(COMMAND, min_size=1, max_size=30))
def test_plain_means_the_name_and_nothing_else(commands):
    """A batch counts as plain only if every first argument is exactly the name of a command."""
    census = census_of(commands)
    if census.plain:
        assert all(type(args[0]) is str and args[0] == identify(args).name for args in commands)


def test_word_that_fights_back_is_unknown():
    """A first argument that raises when it is hashed or compared counts as unknown and breaks nothing."""

    class Hostile(str):
        __slots__ = ()

        def __hash__(self):
            raise RuntimeError("hash")

    assert census_of([("GET", "k"), (Hostile("GET"), "k")])[identify(("GET",))] >= 1
    assert census_of([(object(),)]) == {UNKNOWN: 1}
