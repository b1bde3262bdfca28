"""The last minutes in slices: exact counts and durations to the step, whenever each window is read."""

import math
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core.operation import Endpoint
from redispan._insight.slices import KEPT, SLICE_S, Slices, merge, quantile_ms, step_of, upper_ms
from redispan._insight.statistics import Statistics
from redispan._insight.window import _Columns, count_into

SECOND = 1_000_000_000
LATER_NS = 10**6 * SECOND

entries = st.lists(
    st.tuples(
        st.integers(0, 60 * SECOND),
        st.integers(0, 100 * SECOND),
        st.sampled_from(["GET", "SET"]),
        st.sampled_from([None, None, "OOM"]),
        st.just(0),
    ),
    max_size=200,
)


def totals_of(seen: list[Any]) -> dict[str, list[int]]:
    """Return the totals that a window has for these operations."""
    totals: dict[str, list[int]] = {}
    count_into(totals, {}, seen)
    return totals


@given(entries, st.integers(1, 50), st.integers(1, 100), st.integers(-5, 5))
def test_nothing_is_counted_twice_or_left_out(made: list[Any], often: int, window: int, offset_s: int) -> None:
    """The slices count each operation and failure once, however often they are read and however small the window is."""
    slices, made = Slices(), sorted(made, key=lambda entry: entry[0])
    for upto in range(0, len(made) + often, often):
        seen = made[:upto]
        slices.follow("c:1/0", seen[-window:], totals_of(seen), offset_s * SECOND)
    found = slices.snapshot(LATER_NS)
    assert sum(one["count"] for one in found.values()) == len(made)
    assert sum(one["errors"] for one in found.values()) == sum(entry[3] is not None for entry in made)
    if often <= window:
        for start, one in found.items():
            own = [e for e in made if (e[0] // SECOND + offset_s) // SLICE_S * SLICE_S == int(start)]
            assert one["count"] == len(own) == sum(one["steps"].values())
            assert one["errors"] == sum(entry[3] is not None for entry in own)
            assert one["max_ns"] == max(entry[1] for entry in own)


@given(st.integers(0, 10**14))
def test_a_step_holds_its_durations(duration_ns: int) -> None:
    """A duration is at most its step's upper end and more than a step below it."""
    step = step_of(duration_ns)
    assert duration_ns / 1e6 <= upper_ms(step) * (1 + 1e-9)
    assert step == 0 or duration_ns / 1e6 > upper_ms(step - 1) * (1 - 1e-9)


@given(entries.filter(bool), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_the_truth_to_the_step(made: list[Any], share: float) -> None:
    """A quantile is never below the exact one, and at most 19 % above it."""
    slices = Slices()
    slices.follow("c:1/0", [(0, *entry[1:]) for entry in made], totals_of(made), 0)
    (found,) = slices.snapshot(LATER_NS).values()
    ordered = sorted(entry[1] for entry in made)
    truth_ms = ordered[max(math.ceil(round(share * len(ordered), 9)), 1) - 1] / 1e6
    told_ms = quantile_ms(found, share)
    assert told_ms is not None
    assert truth_ms * (1 - 1e-9) <= told_ms <= max(truth_ms, 0.001) * 2**0.25 * (1 + 1e-9)


def test_slices_of_processes_add_up_and_old_ones_go() -> None:
    """Slices cover ten minutes, for one process and for all processes together."""
    parts = []
    for process in range(3):
        slices = Slices()
        for number in range(KEPT + 10):
            seen = [(at * SLICE_S * SECOND, 1000, "GET", None, 0) for at in range(number + 1)]
            slices.follow("c:1/0", seen[-1:], totals_of(seen), process * SLICE_S * SECOND)
        parts.append(slices.snapshot(LATER_NS))
        assert len(parts[-1]) == KEPT
    together = merge(parts)
    assert len(together) == KEPT
    assert {found["count"] for start, found in together.items() if start < max(together) - 2 * SLICE_S} == {3}


def test_a_clock_that_is_set_back_leaves_no_slices_of_the_future() -> None:
    """A clock that is set back removes later slices.

    They would stay the newest and the only ones shown until the clock reaches them.
    """
    slices = Slices()
    before = [(at * SLICE_S * SECOND, 1000, "GET", None, 0) for at in range(KEPT)]
    slices.follow("c:1/0", before, totals_of(before), 3600 * SECOND)
    assert len(slices.snapshot(3600 * SECOND + KEPT * SLICE_S * SECOND)) == KEPT
    after = [(KEPT * SLICE_S * SECOND, 1000, "GET", None, 0)]
    slices.follow("c:1/0", after, totals_of(before + after), 0)
    assert list(slices.snapshot(KEPT * SLICE_S * SECOND)) == [str(KEPT * SLICE_S)]


def test_two_readers_at_once_count_once() -> None:
    """An operation counts once, even if a sibling queries while the process writes its totals."""
    slices = Slices()
    seen = [(at, 1000, "GET", None, 0) for at in range(500)]
    reads = [(seen[: upto + 1], totals_of(seen[: upto + 1])) for upto in range(500)]

    def read() -> None:
        for part, totals in reads:
            slices.follow("c:1/0", part, totals, 0)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    (found,) = slices.snapshot(LATER_NS).values()
    assert found["count"] == sum(found["steps"].values()) == 500


@given(st.lists(st.tuples(st.integers(0, 90), st.sampled_from([None, "OOM"]), st.booleans()), max_size=40))
def test_whether_windows_are_shown_makes_no_difference(steps: list[tuple[int, str | None, bool]]) -> None:
    """The slices are the same whether each read takes the new operations only or the whole windows."""
    endpoint = Endpoint("c", 1, "0")
    now_ns = 0
    both = [(Statistics(50, lambda: now_ns, lambda: now_ns), Slices()) for _ in range(2)]
    made = 0
    for count, error, windows in steps:
        for _ in range(count):
            made += 1
            now_ns += SECOND // 20
            for statistics, _ in both:
                statistics.open(endpoint).answers.add((now_ns, made, "GET", error, 0))
        (statistics, slices), (always, expected) = both
        shown = statistics.snapshot(slices, windows=windows)
        always.snapshot(expected)
        if shown:
            assert len(shown["c:1/0"]["answers"]["window"]) == (min(made, 50) if windows else 0)
    assert both[0][1].snapshot(LATER_NS) == both[1][1].snapshot(LATER_NS)
    assert sum(found["count"] for found in both[0][1].snapshot(LATER_NS).values()) == made


def test_what_is_written_down_every_second_copies_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """The write of every second copies only new operations. It reads a full window of old ones no second time."""
    copied: list[int] = []
    last = _Columns.last

    def counting(columns: _Columns, count: int) -> list[Any]:
        found = last(columns, count)
        copied.append(len(found))
        return found

    monkeypatch.setattr(_Columns, "last", counting)
    statistics, slices = Statistics(1000), Slices()
    windows = statistics.open(Endpoint("c", 1, "0"))
    for fresh in (1500, 7, 0):
        for at in range(fresh):
            windows.answers.add((at, 1000, "GET", None, 0))
            windows.blocking.add((at, 1000, "BLPOP", None, 0))
        copied.clear()
        statistics.snapshot(slices, windows=False)
        assert sum(copied) == min(fresh, 1000)
