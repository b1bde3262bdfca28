"""Cache use: hits and misses per command, sizes and times to live, with sampling that is accurate and shows no data."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core.commands import census_of, identify
from redispan._core.operation import Batch, CommandSeries, Endpoint, Operation
from redispan._insight.cache_patterns import CachePatterns, size_of, usage_of
from redispan._insight.cache_sampling import FIRST, STRIDE, CacheSampler


def usage(args: tuple[Any, ...], response: Any) -> Any:
    """Return what one command adds to the figures."""
    return usage_of(identify(args), args, response, 1.0, early=False)


def operation(args: tuple[Any, ...], response: Any, batch: Batch | None = None) -> Operation:
    """Return a finished operation."""
    made = Operation(CommandSeries(Endpoint("h", 1, "0"), identify(args)), args)
    made.response = response
    if batch is not None:
        made.batch = batch
    return made


@pytest.mark.parametrize(
    ("args", "response", "hits", "misses"),
    [
        (("GET", "k"), b"v", 1, 0),
        (("GET", "k"), None, 0, 1),
        (("GET", "k"), b"", 1, 0),
        (("get", "k"), None, 0, 1),
        (("MGET", "a", "b", "c"), [b"1", None, b""], 2, 1),
        (("HGETALL", "h"), {}, 0, 1),
        (("HGETALL", "h"), {b"a": b"b"}, 1, 0),
        (("SMEMBERS", "s"), set(), 0, 1),
        (("LPOP", "queue"), None, 0, 0),
        (("SET", "k", "v"), True, 0, 0),
        (("GET", "k"), RuntimeError(), 0, 0),
    ],
)
def test_hits_and_misses(args: tuple[Any, ...], response: Any, hits: int, misses: int) -> None:
    """redispan counts the values of an MGET one by one. An empty value is a hit, and an empty queue is no miss."""
    found = usage(args, response)
    assert (found.hits, found.misses) == (hits, misses)


@pytest.mark.parametrize(
    ("args", "lasting", "expiring"),
    [
        (("SET", "k", "v"), 1, 0),
        (("SET", "k", "v", "EX", 60), 0, 1),
        (("SET", "k", "EX"), 1, 0),
        (("SET", "k", "v", b"px", 60), 0, 1),
        (("SET", "k", "v", "KEEPTTL"), 0, 1),
        (("SETEX", "k", 60, "v"), 0, 1),
        (("MSET", "a", "EX", "b", "EX"), 1, 0),
        (("EXPIRE", "k", 60), 0, 1),
        (("HSET", "k", "f", "v"), 0, 0),
    ],
)
def test_times_to_live(args: tuple[Any, ...], lasting: int, expiring: int) -> None:
    """A SET with any option for a time to live expires. A value that looks like such an option does not count."""
    found = usage(args, True)
    assert (found.lasting_sets, found.expiring_sets) == (lasting, expiring)


def test_sizes() -> None:
    """Bytes read are those of the reply. Bytes written are those of the values."""
    assert usage(("GET", "k"), b"x" * 100).bytes_read == 100
    assert usage(("SET", "k", "x" * 50), True).bytes_written == 50
    assert size_of([b"ab"] * 1000) == 2000
    assert size_of({b"ab": b"cd"}) == 4


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=20))
def test_any_reply_has_a_size(reply: Any) -> None:
    """redispan measures replies of any shape without an exception."""
    assert size_of(reply) >= 0


@given(st.lists(st.text(max_size=20) | st.binary(max_size=20) | st.integers(), max_size=6))
def test_any_command_is_taken_in(args: list[Any]) -> None:
    """Arguments of any kind raise nothing and show no value, whether the command is known or not."""
    patterns = CachePatterns(patterns=True)
    patterns.add(identify(args), args, None, 1, early=False)
    assert patterns.snapshot()["sampled"] == 1


def test_patterns_are_learned_only_where_keys_may_be_shown() -> None:
    """Without permission to show keys, no pattern exists anywhere, not even in memory."""
    for allowed in (False, True):
        patterns = CachePatterns(patterns=allowed)
        patterns.add(identify(("GET",)), ("GET", "user:42:cart"), None, 1, early=False)
        assert (list(patterns.snapshot()["patterns"]) == ["user:{id}:cart"]) is allowed
        assert ("user" in str(patterns.snapshot())) is allowed


def test_values_never_become_patterns() -> None:
    """redispan folds only arguments that are keys: no values, script texts or credentials."""
    patterns = CachePatterns(patterns=True)
    for args in (("SET", "k", "hunter"), ("EVAL", "hunter", 0), ("AUTH", "hunter"), ("SET k hunter",), ("HUNTER", "x")):
        patterns.add(identify(args), args, None, 1, early=False)
    assert "hunter" not in str(patterns.snapshot()).lower()


def test_sampling_estimates_what_it_skips() -> None:
    """redispan samples one in 64 of 200,000 operations that repeat in 64 steps. Its estimate is within 5 %."""
    patterns = CachePatterns(patterns=False)
    sampler = CacheSampler(patterns, Random(7))
    hit, miss = operation(("GET", "k"), b"v"), operation(("GET", "k"), None)
    countdown, looked = 0, 0
    for at in range(200_000):
        countdown -= 1
        if countdown <= 0:
            countdown = sampler.sample(hit if at % 64 < 16 else miss)
            looked += 1
    found = patterns.snapshot()["families"]["string"]
    assert found["hits"] + found["misses"] == pytest.approx(200_000, rel=0.05)
    assert found["hits"] == pytest.approx(50_000, rel=0.08)
    assert looked < FIRST + 200_000 / STRIDE * 1.2
    assert found["early_misses"] == pytest.approx(FIRST * 0.75, rel=0.01)


def test_batches_are_looked_into() -> None:
    """redispan counts the commands of a pipeline one by one. A failed one is neither a hit nor a miss."""
    patterns = CachePatterns(patterns=True)
    commands = [("GET", "user:1"), ("SET", "user:2", "x"), ("GET", "user:3")]
    made = operation(("GET", "x"), [None, True, RuntimeError()], Batch("PIPELINE", commands, census_of(commands)))
    CacheSampler(patterns).sample(made)
    found = patterns.snapshot()
    assert found["sampled"] == 3
    assert found["patterns"]["user:{id}"]["reads"] == 2
    assert found["patterns"]["user:{id}"]["misses"] == 1
