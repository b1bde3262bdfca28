"""The query text of a batch equals the joined texts of its commands, made one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core.commands import census_of, identify
from redispan._core.operation import Batch, CommandSeries, Endpoint, Operation
from redispan._semconv.query_text import batch_text, query_text
from redispan._telemetry.span_naming import Namer

WORDS = st.sampled_from(["GET", "SET", "get", "MGET", "INFO", "CONFIG", "EVAL", "GET key", b"GET", "nonsense", 7])
COMMANDS = st.lists(
    st.lists(st.text(max_size=2), max_size=60).flatmap(lambda rest: st.tuples(WORDS, *map(st.just, rest)))
)


@pytest.mark.parametrize("mode", ["hidden", "keys"])
@given(commands=COMMANDS.filter(bool), limit=st.sampled_from([10, 100, 1024]))
def test_same_as_one_by_one(mode: str, commands: list[tuple[object, ...]], limit: int) -> None:
    """The fast ways show no more and no less for any arguments, however often a command occurs."""
    census = census_of(commands)
    operation = Operation(CommandSeries(Endpoint("localhost", 6379, "0"), next(iter(census))), ())
    operation.batch = Batch("PIPELINE", commands, census)
    one_by_one = batch_text((query_text(identify(args), args, mode, limit) or "" for args in commands[:50]), limit)
    namer = Namer(query_mode=mode, query_limit=limit, script_names=False, old_names=False)
    assert namer.of(operation)[1]["db.query.text"] == one_by_one
