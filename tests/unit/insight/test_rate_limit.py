"""Rate limiting that loses nothing: what is let through plus what is held back is what came."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from redispan._core.alert_book import AlertBook
from redispan._core.rate_limit import KINDS_LIMIT, RateLimit
from redispan._core.records import SLOW_OPERATION


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 20)), max_size=200))
def test_nothing_is_lost(items: list[tuple[int, float]]) -> None:
    """Items = let through + told as held back + still waiting to be told; one per kind and interval."""
    now = 0.0
    limit = RateLimit(10.0, lambda: now)
    told: dict[int, list[float]] = {}
    through = reported = 0
    for kind, later in items:
        now += later
        held_back = limit.admit(kind)
        if held_back is not None:
            through += 1
            reported += held_back
            told.setdefault(kind, []).append(now)
    assert through + reported + limit.waiting() == len(items)
    for times in told.values():
        assert all(later - earlier >= 10.0 for earlier, later in pairwise(times))


def test_forgotten_kinds_hand_on_what_they_held_back() -> None:
    """A kind that is dropped for want of room doesn't take its count with it."""
    limit = RateLimit(10.0, lambda: 0.0)
    assert [limit.admit("first") for _ in range(6)] == [0, None, None, None, None, None]
    for number in range(KINDS_LIMIT - 1):
        limit.admit(number)
    assert limit.admit("one too many") == 5
    assert limit.admit("and another") == 0
    assert limit.waiting() == 0


def test_no_interval_lets_everything_through() -> None:
    """An interval of 0 tells every single one."""
    limit = RateLimit(0.0, lambda: 1.0)
    assert [limit.admit("x") for _ in range(3)] == [0, 0, 0]


def test_every_detection_is_counted_whether_told_or_not() -> None:
    """The book's count is of detections; those told are fewer."""
    book = AlertBook(10.0, lambda: 0.0)
    told = [book.detect(SLOW_OPERATION, "h:1/0", "GET", "h", 1) for _ in range(5)]
    assert told == [0, None, None, None, None]
    assert book.counts() == {(SLOW_OPERATION, "h", 1): 5}
    assert book.snapshot()["emitted"] == {SLOW_OPERATION: 1}
