"""Merging the snapshots of processes is exact, and gives the same in any order and grouping."""

import json

from hypothesis import given
from hypothesis import strategies as st

from insight_data import NOW_NS, pool, server, snapshot, usage
from redispan._insight.facts import Facts
from redispan._insight.snapshots import empty, merge

entries = st.lists(
    st.tuples(
        st.integers(0, 10**6).map(lambda age: NOW_NS - age),
        st.integers(0, 10**9),
        st.sampled_from(["GET", "SET"]),
        st.sampled_from([None, "OOM"]),
        st.integers(0, 100),
    ).map(list),
    max_size=30,
)
processes = st.lists(entries, min_size=1, max_size=4)


def of(windows: list, size: int = 40) -> list:
    """Return one snapshot per window, each of another process and with things of its own."""
    return [
        snapshot(
            window,
            pid=number,
            window_size=size,
            pools=[pool(pid=number, uses=number)],
            baselines=[{"endpoint": "cache:6379/0", "command": None, "figure": "latency", "expected": number}],
            servers={"cache:6379": server(at_unix_ns=number)},
            memory={"cache:6379": [[at, number] for at in range(number % 3)]},
            cache={"sampled": 2, "families": {"string": usage(reads=number)}, "patterns": {}, "patterns_shown": False},
            alerts={"counts": {"slow_operation": number}, "emitted": {}, "firing": [], "history": []},
        )
        for number, window in enumerate(windows)
    ]


@given(processes)
def test_counts_and_windows_are_exact(windows: list) -> None:
    """The merged window holds the newest operations of all processes, and the merged totals are the sums."""
    merged = merge(of(windows))
    facts = Facts(merged)
    everything = [entry for window in windows for entry in window]
    assert facts.totals.operations == len(everything)
    assert facts.totals.errors == sum(entry[3] is not None for entry in everything)
    newest = sorted((entry[0] for entry in everything), reverse=True)[:40]
    (endpoint,) = merged["endpoints"].values()
    assert sorted((entry[0] for entry in endpoint["answers"]["window"]), reverse=True) == newest
    assert facts.usage.reads == sum(range(len(windows)))
    assert merged["alerts"]["counts"].get("slow_operation", 0) == sum(range(len(windows)))


@given(processes, st.randoms())
def test_order_and_grouping_make_no_difference(windows: list, random: object) -> None:
    """Any order of merging gives the same result, at once or step by step."""
    found = of(windows)
    at_once = merge(found)
    random.shuffle(found)
    stepwise = found[0]
    for other in found[1:]:
        stepwise = merge([stepwise, other])
    assert merge([stepwise]) == at_once


@given(processes)
def test_merging_changes_nothing_that_it_was_given(windows: list) -> None:
    """Merging leaves its inputs unchanged, because another process's answer may be merged twice."""
    found = of(windows)
    before = json.dumps(found)
    merge(found)
    assert json.dumps(found) == before


def test_nothing_is_something() -> None:
    """Merging no process gives a snapshot too. The newest reading of a server replaces older ones."""
    assert merge([]) == empty()
    merged = merge(of([[], [], []]))
    assert merged["servers"]["cache:6379"]["at_unix_ns"] == 2
    assert [process["pid"] for process in merged["processes"]] == [0, 1, 2]
    assert [found["pid"] for found in merged["pools"]] == [0, 1, 2]
