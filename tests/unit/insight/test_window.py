"""The rolling window: exact for any sequence and any number of threads, and of bounded size."""

import threading
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core.operation import OTHER_ENDPOINTS, Endpoint
from redispan._insight import window as window_module
from redispan._insight.statistics import ENDPOINTS_LIMIT, Statistics
from redispan._insight.window import (
    COMMANDS_LIMIT,
    COUNT,
    ERROR_TYPES_LIMIT,
    ERRORS,
    FOLD_EVERY,
    MAX_NS,
    Window,
    count_into,
)
from stress import hasty_threads, operations

entries = st.lists(
    st.tuples(
        st.integers(0, 10**12),
        st.integers(0, 10**9),
        st.sampled_from(["GET", "SET", "PIPELINE GET"]),
        st.sampled_from([None, None, "OOM", "WRONGTYPE"]),
        st.integers(0, 10**6),
    ),
    max_size=400,
)


@given(entries, st.integers(1, 60))
def test_window_and_totals_are_exact(added: list, size: int) -> None:
    """The window holds the last operations unchanged. The totals count all of them, by command and error type."""
    window = Window(size)
    for entry in added:
        window.add(entry)
    shown, totals, error_types = window.read()
    assert shown == added[-size:] == window.recent()
    for command in {entry[2] for entry in added}:
        own = [entry for entry in added if entry[2] == command]
        figures = totals[command]
        assert figures[COUNT] == len(own)
        assert figures[ERRORS] == sum(entry[3] is not None for entry in own)
        assert figures[MAX_NS] == max(entry[1] for entry in own)
        assert figures[2] == sum(entry[1] for entry in own)
        assert figures[4] == sum(entry[1] < 100_000_000 and entry[3] is None for entry in own)
        assert figures[5] == sum(entry[4] for entry in own)
    assert error_types == {
        kind: sum(entry[3] == kind for entry in added) for kind in {entry[3] for entry in added} - {None}
    }
    assert len(window.entries) <= FOLD_EVERY


@given(entries, st.integers(1, 60), st.integers(1, 60))
def test_resizing_loses_no_count(added: list, size: int, new_size: int) -> None:
    """Another window size changes what is shown, and never what was counted."""
    window = Window(size)
    for entry in added:
        window.add(entry)
    window.resize(new_size)
    shown, totals, _ = window.read()
    assert sum(figures[COUNT] for figures in totals.values()) == len(added)
    assert len(shown) <= new_size


def test_tables_are_bounded() -> None:
    """The tables stay small with any number of commands and error types. Every operation is counted."""
    window = Window(10)
    for number in range(5000):
        window.add((number, 1, f"C{number}", f"E{number}", 0))
    _, totals, error_types = window.read()
    assert len(totals) <= COMMANDS_LIMIT + 1
    assert len(error_types) <= ERROR_TYPES_LIMIT + 1
    assert sum(figures[COUNT] for figures in totals.values()) == 5000 == sum(error_types.values())


def test_endpoints_are_bounded() -> None:
    """Beyond the limit, endpoints share one window. Two requests for one endpoint give the same windows."""
    statistics = Statistics(10)
    endpoints = [Endpoint("host", port, "0") for port in range(ENDPOINTS_LIMIT + 50)]
    for number, endpoint in enumerate(endpoints):
        statistics.open(endpoint).answers.add((number, 1, "GET", None, 0))
    assert len(statistics.all()) == ENDPOINTS_LIMIT + 1
    found = statistics.snapshot()
    assert found[OTHER_ENDPOINTS.label]["answers"]["totals"]["GET"][COUNT] == 50
    assert statistics.open(endpoints[-1]) is statistics.by_endpoint[endpoints[-1]]


def test_one_place_is_one_endpoint() -> None:
    """Two endpoint objects of one address, port and database share a window, because users see one server."""
    statistics = Statistics(10)
    assert statistics.open(Endpoint("h", 1, "0")) is statistics.open(Endpoint("h", 1, "0", late=True))
    assert statistics.open(Endpoint("h", 1, "0")) is not statistics.open(Endpoint("h", 1, "1"))


def test_times_leave_the_process_as_times_of_day() -> None:
    """A snapshot translates the monotonic clock to time of day. Another process could not read the monotonic one."""
    statistics = Statistics(10, clock_ns=lambda: 5_000, wall_ns=lambda: 1_000_000)
    statistics.open(Endpoint("h", 1, "0")).answers.add((4_000, 10, "GET", None, 0))
    assert statistics.snapshot()["h:1/0"]["answers"]["window"] == [[999_000, 10, "GET", None, 0]]


def test_counts_are_exact_under_200_threads() -> None:
    """One window counts every operation of 200 threads exactly once."""
    threads = 200
    each = operations(60_000) // threads // 10 * 10
    window = Window(1000)
    wall = threading.Barrier(threads)

    def add(number: int) -> None:
        wall.wait()
        for at in range(each):
            window.add((at, number, "GET", None if at % 10 else "OOM", 0))

    workers = [threading.Thread(target=add, args=(number,)) for number in range(threads)]
    with hasty_threads():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    shown, totals, error_types = window.read()
    assert totals["GET"][COUNT] == threads * each
    assert totals["GET"][ERRORS] == error_types["OOM"] == threads * each // 10
    assert totals["GET"][2] == sum(range(threads)) * each
    assert len(shown) == 1000
    assert len(window.entries) <= FOLD_EVERY


def test_memory_is_flat() -> None:
    """A window stops growing after its first thousand operations."""
    window = Window(1000)

    def add(count: int) -> int:
        for at in range(count):
            window.add((10**15 + at, 10**9 + at, "GET", None, 10**6 + at))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    full = add(3000)
    later = add(20_000)
    tracemalloc.stop()
    assert later < full * 1.1


def test_operation_in_the_middle_of_moving_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A destructor or signal handler may call Redis while the window moves entries on.

    It does not deadlock, and all operations count.
    """
    window = Window(10)
    within = False

    def interrupted(*arguments: Any) -> None:
        nonlocal within
        if not within:
            within = True
            for number in range(FOLD_EVERY + 2):
                window.add((number, 1, "SET", None, 0))
            window.read()
            window.since(0)
            within = False
        count_into(*arguments)

    monkeypatch.setattr(window_module, "count_into", interrupted)
    for number in range(FOLD_EVERY + 1):
        window.add((number, 1, "GET", None, 0))
    monkeypatch.undo()
    shown, totals, _ = window.read()
    assert totals["GET"][COUNT] == FOLD_EVERY + 1
    assert totals["SET"][COUNT] == FOLD_EVERY + 2
    assert len(shown) == 10
