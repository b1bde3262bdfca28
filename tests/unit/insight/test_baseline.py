"""Baselines: learned from any sequence of figures, left only for a lasting change, and without flapping."""

import json
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redispan._core.records import CLEARED, FIRED
from redispan._insight.baseline import (
    ACCEPTED,
    ERRORS,
    GRACE_SLICES,
    IN_A_ROW,
    LATENCY,
    NEW_NORMAL_S,
    THROUGHPUT,
    WARM_UP_SLICES,
    Baseline,
    History,
    Kind,
)

SLICE_S = 10.0
DEVIATIONS = 6.0

NOISES = {
    "even": lambda random: random.uniform(0.001, 0.003),
    "normal": lambda random: max(0.0, random.gauss(0.01, 0.002)),
    "long tail": lambda random: random.lognormvariate(-6, 0.8),
    "exponential": lambda random: random.expovariate(200),
    "a spike now and then": lambda random: 0.2 if random.random() < 0.05 else random.uniform(0.001, 0.002),
    "two ways of life": lambda random: random.uniform(0.05, 0.06) if random.random() < 0.4 else 0.001,
}


class Watched:
    """A baseline and the time that its slices take."""

    def __init__(self, kind: Kind = LATENCY, samples: int = 100) -> None:
        self.baseline = Baseline(kind, DEVIATIONS)
        self.samples = samples
        self.now_s = 0.0
        self.changes: list[tuple[str, float]] = []

    def see(self, *values: float, may_fire: bool = True) -> list[str]:
        """Let slices pass, and return what changed meanwhile."""
        before = len(self.changes)
        for value in values:
            self.now_s += SLICE_S
            change = self.baseline.observe(value, self.samples, self.now_s, may_fire=may_fire)
            if change is not None:
                self.changes.append((change, self.now_s))
        return [change for change, _ in self.changes[before:]]


def warm(kind: Kind = LATENCY, value: float = 0.002, samples: int = 100) -> Watched:
    """Return a baseline that has learned ``value`` as usual."""
    found = Watched(kind, samples)
    assert found.see(*[value] * WARM_UP_SLICES) == []
    assert found.baseline.ready
    return found


@given(st.lists(st.floats(min_value=0.01, max_value=0.02), max_size=200))
def test_what_stays_within_a_factor_of_two_never_fires(values: list[float]) -> None:
    """Figures within a factor of two never fire, in any order. No reader of a graph would call this a change."""
    assert Watched().see(*values) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", sorted(NOISES))
def test_stationary_noise_never_fires(noise: str, seed: int) -> None:
    """Eight hours of the same noise raise no alert, however heavy its tail is. The baseline assumes no distribution."""
    random = Random(seed)
    assert Watched().see(*[NOISES[noise](random) for _ in range(3000)]) == []


@pytest.mark.parametrize("noise", sorted(set(NOISES) - {"two ways of life"}))
def test_a_lasting_shift_fires_once_and_clears_once(noise: str) -> None:
    """Forty times the usual for two minutes fires once. The return to the usual clears once, within five minutes."""
    random = Random(1)
    watched = Watched()
    watched.see(*[NOISES[noise](random) for _ in range(200)])
    assert watched.see(*[0.4 + NOISES[noise](random) for _ in range(12)]) == [FIRED]
    assert watched.see(*[NOISES[noise](random) for _ in range(30)]) == [CLEARED]
    assert watched.see(*[NOISES[noise](random) for _ in range(500)]) == []


@given(st.lists(st.floats(min_value=0.91, max_value=1.5), max_size=300))
def test_noise_around_the_limit_does_not_clear(factors: list[float]) -> None:
    """A firing baseline holds while the figure wavers around its limit.

    Such a figure is not usual again, and none of it is learned.
    """
    watched = warm(value=0.01)
    limit = watched.baseline.limit(100)
    assert watched.see(*[1.01 * limit] * IN_A_ROW) == [FIRED]
    assert watched.see(*[limit * factor for factor in factors]) == []
    assert watched.baseline.limit(100) == limit


@given(st.lists(st.tuples(st.sampled_from([0.002, 0.003, 0.0039, 0.1, 1.0]), st.integers(1, 8)), max_size=60))
def test_no_sequence_flaps(runs: list[tuple[float, int]]) -> None:
    """For any sequence, fired and cleared alternate. Between them lie as many slices as both need."""
    watched = warm()
    watched.see(*[value for value, times in runs for _ in range(times)])
    assert [name for name, _ in watched.changes] == [
        FIRED if place % 2 == 0 else CLEARED for place in range(len(watched.changes))
    ]
    for (_, at), (_, later) in pairwise(watched.changes):
        assert later - at >= IN_A_ROW * SLICE_S


def test_a_relapse_starts_the_waiting_anew() -> None:
    """A firing baseline clears only after usual slices in a row, so a relapse restarts the wait."""
    watched = warm()
    assert watched.see(*[1.0] * IN_A_ROW) == [FIRED]
    assert watched.see(0.002, 0.002, 1.0, 0.002, 0.002) == []
    assert watched.see(0.002) == [CLEARED]


def test_nothing_is_judged_before_enough_was_learned() -> None:
    """The first minutes of a program are no anomaly, because the baseline has not learned enough."""
    watched = Watched()
    assert watched.see(*[0.001] * (WARM_UP_SLICES - IN_A_ROW - 1), *[5.0] * IN_A_ROW) == []
    assert not watched.baseline.ready


def test_two_odd_slices_are_learned_and_three_fire() -> None:
    """Two odd slices are learned as something that happens now and then. Three fire, and are not learned."""
    watched = warm()
    assert watched.see(1.0, 1.0, 0.002) == []
    assert watched.baseline.learned == WARM_UP_SLICES + 3
    watched = warm()
    assert watched.see(1.0, 1.0, 1.0) == [FIRED]
    assert watched.baseline.learned == WARM_UP_SLICES
    watched.see(*[1.0] * 100)
    assert watched.baseline.expected == 0.002
    assert watched.baseline.learned == WARM_UP_SLICES


def test_what_stays_is_the_new_normal() -> None:
    """After an hour the change is accepted and learned. Going back is no anomaly before the new level is learned."""
    watched = warm()
    assert watched.see(*[0.05] * int(IN_A_ROW + NEW_NORMAL_S / SLICE_S)) == [FIRED, ACCEPTED]
    assert watched.see(*[0.05] * WARM_UP_SLICES) == []
    assert watched.baseline.expected == 0.05
    assert watched.baseline.ready


def test_too_little_to_matter_is_no_anomaly() -> None:
    """A tiny figure may grow tenfold without an alert: less than a millisecond, or less than one percent of errors."""
    assert warm(LATENCY, 0.00005).see(*[0.0005] * 20) == []
    assert warm(ERRORS, 0.0001, samples=10_000).see(*[0.009] * 20) == []
    assert warm(ERRORS, 0.0001, samples=10_000).see(*[0.02] * 20) == [FIRED]


@pytest.mark.parametrize(("samples", "share", "fires"), [(20, 0.15, False), (20, 0.5, True), (500, 0.15, True)])
def test_few_operations_leave_much_to_chance(samples: int, share: float, fires: bool) -> None:
    """Three failures among twenty operations may be chance and do not fire. Seventy-five among five hundred do."""
    assert warm(ERRORS, 0.0, samples=samples).see(*[share] * 10) == [FIRED] * fires


def test_throughput_is_watched_both_ways() -> None:
    """Traffic that breaks away is as unusual as traffic that rises. Latency cannot be too low."""
    assert warm(THROUGHPUT, 300.0).see(*[1.0] * 5) == [FIRED]
    assert warm(THROUGHPUT, 300.0).see(*[3000.0] * 5) == [FIRED]
    assert warm(THROUGHPUT, 300.0).see(*[150.0, 600.0] * 5) == []
    assert warm(LATENCY, 0.1).see(*[0.0] * 5) == []


def test_highs_and_lows_are_not_one_change() -> None:
    """Slices that are unusual in opposite directions do not add up."""
    assert warm(THROUGHPUT, 300.0).see(3000.0, 1.0, 3000.0, 1.0) == []


def test_what_another_alert_covers_is_not_learned() -> None:
    """While another alert covers the change, the baseline neither fires nor learns."""
    watched = warm()
    assert watched.see(*[1.0] * 50, may_fire=False) == []
    assert watched.baseline.learned == WARM_UP_SLICES
    assert watched.see(*[1.0] * IN_A_ROW) == [FIRED]


def test_more_deviations_are_less_sensitive() -> None:
    """A higher setting for the deviations gives a higher limit for the same noise."""
    random = Random(3)
    values = [random.uniform(0.02, 0.03) for _ in range(100)]
    limits = []
    for deviations in (1.0, 6.0, 20.0):
        baseline = Baseline(LATENCY, deviations)
        for value in values:
            baseline.observe(value, 100, 0.0)
        limits.append(baseline.limit(100))
    assert limits[0] <= limits[1] < limits[2]


def test_the_history_is_bounded_and_reaches_back_for_hours() -> None:
    """A day of slices takes no more room than an hour. Slices from three hours ago still count."""
    history = History()
    for number in range(8640):
        history.add(float(number))
    kept = history.ordered()
    assert len(kept) <= 240
    assert kept[0] <= 8640 - 1200
    assert kept[-1] == 8639
    assert history.learned == 8640


@given(st.lists(st.floats(min_value=0.001, max_value=1.0), min_size=WARM_UP_SLICES, max_size=400))
def test_what_is_handed_on_is_what_was_learned(values: list[float]) -> None:
    """A baseline that was taken over expects and allows the same, to the stored digits.

    It is bounded in the same way.
    """
    before = Baseline(LATENCY, DEVIATIONS)
    for value in values:
        before.learn(value, 100)
    after = Baseline(LATENCY, DEVIATIONS)
    after.take_over(json.loads(json.dumps(before.as_data())))
    assert after.ready
    assert after.learned == before.learned
    assert after.expected == pytest.approx(before.expected, rel=1e-3)
    assert after.limit(100) == pytest.approx(before.limit(100), rel=1e-2)


def test_a_start_is_given_time() -> None:
    """Slow first slices of a process that took over a baseline neither fire nor are learned.

    Later slices are judged.
    """
    watched = Watched()
    watched.baseline.take_over(warm().baseline.as_data())
    assert watched.see(*[1.0] * GRACE_SLICES) == []
    assert watched.baseline.learned == WARM_UP_SLICES
    assert watched.see(*[1.0] * IN_A_ROW) == [FIRED]


def test_who_knows_takes_nothing_over() -> None:
    """A process with experience of its own takes no earlier baseline over."""
    watched = warm(value=0.5)
    watched.baseline.take_over(warm(value=0.002).baseline.as_data())
    assert watched.baseline.expected == 0.5


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"learned": 40},
        {"learned": 40, "recent": ["x"], "older": []},
        {"learned": 40, "recent": [float("nan")] * 40, "older": []},
        {"learned": 40, "recent": [-1.0] * 40, "older": []},
        {"learned": "many", "recent": [1.0] * 40, "older": []},
        {"learned": 3, "recent": [1.0] * 40, "older": []},
        {"learned": 40, "recent": None, "older": None},
        [],
        None,
    ],
)
def test_nonsense_is_not_taken_over(nonsense: object) -> None:
    """Any nonsense in the file raises nothing and is not learned."""
    baseline = Baseline(LATENCY, DEVIATIONS)
    baseline.take_over(nonsense)  # type: ignore[arg-type]
    assert baseline.learned == 0
