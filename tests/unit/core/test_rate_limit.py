"""The rate limit loses nothing: every item is either let through or counted as held back."""

import threading
from functools import partial
from itertools import count, pairwise

from hypothesis import given
from hypothesis import strategies as st

from redispan._core.alert_book import AlertBook
from redispan._core.rate_limit import KINDS_LIMIT, RateLimit
from redispan._core.records import SLOW_OPERATION


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 20)), max_size=200))
def test_nothing_is_lost(items: list[tuple[int, float]]) -> None:
    """Items = let through + reported as held back + still waiting to be reported.

    At most one per kind and interval is let through.
    """
    now = 0.0
    limit = RateLimit(10.0, lambda: now)
    recorded: dict[int, list[float]] = {}
    through = reported = 0
    for kind, later in items:
        now += later
        held_back = limit.admit(kind)
        if held_back is not None:
            through += 1
            reported += held_back
            recorded.setdefault(kind, []).append(now)
    assert through + reported + limit.waiting() == len(items)
    for times in recorded.values():
        assert all(later >= earlier + 10.0 for earlier, later in pairwise(times))


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 20), st.booleans()), max_size=200))
def test_nothing_waits_for_ever(items: list[tuple[int, float, bool]]) -> None:
    """Any later call emits the last item held back.

    Each item is let through, emitted later, or counted by one of these.
    """
    now = 0.0
    limit = RateLimit(10.0, lambda: now)
    recorded: dict[int, list[float]] = {}
    lines: list[int] = []

    def emit(kind: int, held_back: int) -> None:
        lines.append(held_back)
        recorded.setdefault(kind, []).append(now)

    for kind, later, comes_by in items:
        now += later
        if comes_by:
            limit.emit_due()
        held_back = limit.admit(kind, partial(emit, kind))
        if held_back is not None:
            emit(kind, held_back)
    now += 10.0
    limit.emit_due()
    limit.emit_due()
    assert len(lines) + sum(lines) == len(items)
    assert limit.waiting() == 0
    for times in recorded.values():
        assert all(later >= earlier + 10.0 for earlier, later in pairwise(times))


def test_each_is_emitted_once_whoever_comes_by() -> None:
    """Threads that hold items back run beside threads that emit what is due.

    No item is lost and none is emitted twice.
    """
    ticks = count()
    limit = RateLimit(50.0, lambda: float(next(ticks)))
    lines: list[int] = []

    def be_slow() -> None:
        for number in range(3000):
            held_back = limit.admit(number % 3, lines.append)
            if held_back is not None:
                lines.append(held_back)

    def come_by() -> None:
        for _ in range(3000):
            limit.emit_due()

    threads = [threading.Thread(target=work) for work in (be_slow, come_by) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    limit.emit_due(everything=True)
    assert len(lines) + sum(lines) == 4 * 3000


def test_a_emitter_that_fails_keeps_nothing_from_the_others() -> None:
    """An exception of the first emitter reaches no caller, and the second is still called.

    At the end, no emitter waits for its interval.
    """
    limit = RateLimit(10.0, lambda: 0.0)
    recorded: list[int] = []

    def fail(_: int) -> None:
        raise OSError

    for kind, late in (("one", fail), ("two", recorded.append)):
        for _ in range(4):
            limit.admit(kind, late)
    limit.emit_due()
    assert recorded == []
    limit.emit_due(everything=True)
    assert recorded == [2]
    assert limit.waiting() == 0


def test_forgotten_kinds_hand_on_what_they_held_back() -> None:
    """A kind that is dropped for lack of room passes its count on. It is not emitted a second time."""
    limit = RateLimit(10.0, lambda: 0.0)
    recorded: list[int] = []
    assert [limit.admit("first", recorded.append) for _ in range(6)] == [0, None, None, None, None, None]
    for number in range(KINDS_LIMIT - 1):
        limit.admit(number)
    assert limit.admit("one too many") == 5
    assert limit.admit("and another") == 0
    assert limit.waiting() == 0
    limit.emit_due(everything=True)
    assert recorded == []


def test_no_interval_lets_everything_through() -> None:
    """An interval of 0 lets every item through."""
    limit = RateLimit(0.0, lambda: 1.0)
    assert [limit.admit("x") for _ in range(3)] == [0, 0, 0]


def test_every_detection_is_counted_whether_emitted_or_not() -> None:
    """The alert history counts every detection, and fewer alerts are emitted."""
    book = AlertBook(10.0, lambda: 0.0)
    recorded = [book.detect(SLOW_OPERATION, "h:1/0", "GET", "h", 1) for _ in range(5)]
    assert recorded == [0, None, None, None, None]
    assert book.counts() == {(SLOW_OPERATION, "h", 1): 5}
    assert book.snapshot()["emitted"] == {SLOW_OPERATION: 1}


def test_what_is_emitted_later_is_no_further_detection() -> None:
    """Detections = emitted + held back, before and after the deferred alert is emitted."""
    book = AlertBook(10.0, lambda: 0.0)
    recorded: list[int] = []
    for _ in range(5):
        book.detect(SLOW_OPERATION, "h:1/0", "GET", "h", 1, late=recorded.append)
    book.limit.emit_due(everything=True)
    assert recorded == [3]
    assert book.counts() == {(SLOW_OPERATION, "h", 1): 5}
    assert book.snapshot()["emitted"] == {SLOW_OPERATION: 2}
