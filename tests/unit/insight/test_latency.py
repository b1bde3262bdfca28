"""The figures of a window, compared with those of a slow and exact computation."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._insight.latency import latency_of, quantile, rate_per_s

durations = st.lists(st.integers(min_value=0, max_value=10**10), min_size=1, max_size=1200)


@given(durations)
def test_percentiles_are_the_sorted_truth(values: list[int]) -> None:
    """In any window, a percentile is the smallest value that the given share of all values does not exceed."""
    latency = latency_of(values, [], 1.0)
    shares = {"p50_ms": Fraction(1, 2), "p95_ms": Fraction(19, 20), "p99_ms": Fraction(99, 100)}
    for name, share in {**shares, "p999_ms": Fraction(999, 1000)}.items():
        truth = next(v for v in sorted(values) if sum(1 for other in values if other <= v) >= share * len(values))
        assert getattr(latency, name) == truth / 1e6, name


@given(durations, st.data())
def test_the_other_figures_are_those_of_plain_arithmetic(values: list[int], data: st.DataObject) -> None:
    """Minimum, maximum, mean, error rate and the shares within and beyond 100 ms match a count by hand."""
    failed = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    latency = latency_of(values, [v for v, bad in zip(values, failed, strict=True) if bad], 3.0)
    assert latency.operations == len(values)
    assert latency.error_rate == sum(failed) / len(values)
    assert (latency.min_ms, latency.max_ms) == (min(values) / 1e6, max(values) / 1e6)
    assert latency.mean_ms == pytest.approx(sum(values) / len(values) / 1e6)
    succeeded = [v for v, bad in zip(values, failed, strict=True) if not bad]
    assert latency.under_target == sum(v < 100_000_000 for v in succeeded) / len(values)
    assert latency.over_target == sum(v >= 100_000_000 for v in values) / len(values)


@given(durations)
def test_percentiles_are_ordered(values: list[int]) -> None:
    """No percentile is above a higher one, or outside minimum and maximum."""
    found = latency_of(values, [], 1.0)
    ordered = [found.min_ms, found.p50_ms, found.p95_ms, found.p99_ms, found.p999_ms, found.max_ms]
    assert ordered == sorted(ordered)


def test_rounding_of_floats_does_not_shift_a_rank() -> None:
    """The 95th percentile of 20 values is the 19th, although 0.95 * 20 is a little more than 19 in floats."""
    assert quantile(list(range(1, 21)), 0.95) == 19
    assert math.ceil(0.95 * 20) in (19, 20)


def test_a_rate_falls_while_nothing_happens() -> None:
    """The same operations give a lower rate when they are longer ago.

    A first instant does not give a thousand a second.
    """
    second = 10**9
    ends = [0, 1000, 2000]
    assert rate_per_s(ends, 3 * second, full=False) == pytest.approx(1.0)
    assert rate_per_s(ends, 30 * second, full=False) == pytest.approx(0.1)
    assert rate_per_s(ends, 3000, full=False) == 3.0
    assert rate_per_s([*range(1000)], 10**6, full=True) == pytest.approx(10**6)
    assert rate_per_s([], 5, full=True) == 0.0
