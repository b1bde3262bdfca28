"""The memory trend: redispan finds real growth, and none where memory only fluctuates."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insight_data import NOW_NS, server, snapshot
from redispan._core.records import ServerReading
from redispan._insight import reporting
from redispan._insight.facts import Facts
from redispan._insight.memory_trend import (
    EVERY_S,
    LEAST_POINTS,
    POINTS,
    SERVERS_LIMIT,
    MemoryTrends,
    full_in_h,
    growth_bytes_per_s,
)
from redispan._insight.snapshots import merge


def reading(at_s: float, used: int | None, endpoint: str = "cache:6379") -> ServerReading:
    """Return what a probe read at that time."""
    return ServerReading(endpoint, int(at_s * 1e9), used_memory_bytes=used, max_memory_bytes=1000)


@given(st.floats(min_value=1.0, max_value=1e6), st.integers(LEAST_POINTS, POINTS))
def test_steady_growth_is_its_pace(pace: float, count: int) -> None:
    """A straight line gives its own pace."""
    points = [(number * EVERY_S, 1000 + pace * number * EVERY_S) for number in range(count)]
    assert growth_bytes_per_s(points) == pytest.approx(pace)


def test_growth_with_noise_and_one_save_is_still_found() -> None:
    """redispan finds the pace despite noise of a tenth of the growth and one jump."""
    random = Random(1)
    points = [(number * EVERY_S, 1e6 * number + random.uniform(-2e6, 2e6)) for number in range(POINTS)]
    points[7] = (points[7][0], 9e7)
    assert growth_bytes_per_s(points) == pytest.approx(1e6 / EVERY_S, rel=0.15)


@pytest.mark.parametrize(
    "used",
    [
        pytest.param(lambda number: 1000, id="level"),
        pytest.param(lambda number: 1000 - number, id="falling"),
        pytest.param(lambda number: 1000 + number % 8 * 50, id="sawtooth of evictions"),
        pytest.param(lambda number: 1000 + Random(number).randrange(100), id="noise"),
    ],
)
def test_what_only_moves_is_no_growth(used) -> None:
    """Level, falling, alternating or noisy memory gives no forecast."""
    assert growth_bytes_per_s([(number * EVERY_S, used(number)) for number in range(POINTS)]) is None


def test_too_short_a_time_proves_nothing() -> None:
    """A short time gives no forecast, because a program that has just filled its cache does not leak."""
    assert growth_bytes_per_s([(number * EVERY_S, number) for number in range(LEAST_POINTS - 1)]) is None
    assert growth_bytes_per_s([]) is None


def test_points_are_few_and_bounded() -> None:
    """A day of readings every 15 s gives forty points three minutes apart.

    redispan does not follow hundreds of servers.
    """
    trends = MemoryTrends()
    for number in range(24 * 240):
        trends.follow([reading(number * 15, number), reading(number * 15, None, "blind:1")])
        trends.follow([reading(number * 15, number)])
    points = trends.snapshot()["cache:6379"]
    assert len(points) == POINTS
    assert {later[0] - earlier[0] for earlier, later in pairwise(points)} == {EVERY_S}
    assert "blind:1" not in trends.snapshot()
    trends.follow([reading(1, 1, f"h:{number}") for number in range(3 * SERVERS_LIMIT)])
    assert len(trends.snapshot()) == SERVERS_LIMIT
    trends.reset()
    assert trends.snapshot() == {}


def test_hours_until_it_is_full() -> None:
    """The time left is the free memory divided by the pace.

    It is never in the past, and absent without a limit or a pace.
    """
    assert full_in_h(600, 1000, 400 / 7200) == pytest.approx(2.0)
    assert full_in_h(1200, 1000, 1.0) == 0.0
    assert full_in_h(600, None, 1.0) is None
    assert full_in_h(600, 1000, None) is None
    assert full_in_h(None, 1000, 1.0) is None


@pytest.mark.parametrize(("used", "hours", "weight"), [(50, 18, 2), (50, 2, 3), (50, 100, None), (90, 1, None)])
def test_advice_comes_in_time(used: int, hours: float, weight: int | None) -> None:
    """redispan gives the advice within a day of full memory, and urgently within three hours.

    It gives none for next week, nor twice when memory is nearly full.
    """
    pace = (100 - used) / hours / 3600
    points = [[NOW_NS / 1e9 - (20 - number) * EVERY_S, used - (20 - number) * EVERY_S * pace] for number in range(21)]
    found = snapshot(servers={"cache:6379": server(used_memory_bytes=used)}, memory={"cache:6379": points})
    report = reporting.performance(found)
    assert report.servers[0].memory_full_in_h == pytest.approx(hours)
    advice = [one.weight for one in report.recommendations if one.name == "memory_forecast"]
    assert advice == ([] if weight is None else [weight])


def test_who_has_been_looking_longest_is_believed() -> None:
    """The trend of the process with the most points counts, in any order of querying.

    A worker that was just started has seen one point.
    """
    old = snapshot(pid=1, servers={"cache:6379": server()}, memory={"cache:6379": [[n * 180, n] for n in range(20)]})
    new = snapshot(pid=2, servers={"cache:6379": server()}, memory={"cache:6379": [[3600, 20]]})
    for both in ([old, new], [new, old]):
        assert Facts(merge(both)).servers[0].memory_growth_bytes_per_h == pytest.approx(20)


def test_a_clock_that_is_set_back_begins_anew() -> None:
    """A clock that is set back restarts the trend. Waiting for the time of the last point would lose an hour."""
    trends = MemoryTrends()
    for at_s in (7200.0, 7200.0 + EVERY_S, 3600.0, 3600.0 + EVERY_S, 3600.0 + EVERY_S):
        trends.follow([reading(at_s, 10)])
    assert [point[0] for point in trends.snapshot()["cache:6379"]] == [3600.0, 3600.0 + EVERY_S]
