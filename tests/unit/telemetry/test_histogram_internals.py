"""The fast path into the SDK's histogram gives the same figures as the public one."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import metrics
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExponentialBucketHistogramAggregation, View

from redispan._core.slot import SLOT
from redispan._telemetry import histogram_internals
from redispan._telemetry.histogram_internals import AttributeSet, PreparedHistogram

DELTA = {Histogram: AggregationTemporality.DELTA, Counter: AggregationTemporality.DELTA}
BOUNDS = [0.001, 0.01, 0.1, 1.0]
SETS: list[dict[str, Any]] = [
    {"db.operation.name": "GET", "server.port": 6379},
    {"db.operation.name": "SET", "server.port": 6379},
    {"db.operation.name": "GET", "server.port": "6379"},
]


def reader(temporality: str) -> InMemoryMetricReader:
    """Return a reader of sums since the start, or since its last collection."""
    return InMemoryMetricReader(preferred_temporality=DELTA if temporality == "delta" else {})


def histogram_of(provider: MeterProvider, name: str = "h") -> Any:
    """Return a histogram with few buckets."""
    meter = provider.get_meter("test")
    return meter.create_histogram(name, unit="s", explicit_bucket_boundaries_advisory=BOUNDS)


def points(of: InMemoryMetricReader) -> dict[Any, Any]:
    """Return what a reader collects: count, sum and buckets by attributes, without times."""
    data = of.get_metrics_data()
    if data is None:
        return {}
    return {
        tuple(sorted((key, repr(value)) for key, value in point.attributes.items())): (
            point.count,
            round(point.sum, 9),
            tuple(getattr(point, "bucket_counts", ())) or point.positive.bucket_counts,
            point.min,
            point.max,
        )
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def collected(of: InMemoryMetricReader) -> dict[Any, Any] | str:
    """Return what a reader collects, or the error of the SDK.

    An exponential histogram of 0 accepts no tiny value later on.
    """
    try:
        return points(of)
    except Exception as fault:
        return repr(fault)


def is_short(prepared: PreparedHistogram, known: AttributeSet) -> bool:
    """Return whether the next measurement of the set takes the fast path."""
    return prepared._consumer is not None and known.found_in is prepared._consumer._reader_storages


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_installed_sdk_is_familiar(temporality: str):
    """With the installed SDK, the second measurement of a set takes the fast path.

    A new SDK that differs fails here.
    """
    of = reader(temporality)
    prepared = PreparedHistogram(histogram_of(MeterProvider([of])))
    known = AttributeSet(SETS[0])
    prepared.record(0.5, known)
    assert is_short(prepared, known)
    prepared.record_publicly = None  # type: ignore[assignment] - the next one would fail there
    prepared.record(0.5, known)
    assert [point[0] for point in points(of).values()] == [2]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, len(SETS) - 1), st.floats(0, 100, allow_nan=False)),
        st.just("collect"),
    ),
    max_size=40,
)
VIEWS: dict[str, list[View]] = {
    "none": [],
    "fewer attributes": [View(instrument_name="h", attribute_keys={"db.operation.name"})],
    "exponential": [View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation())],
    "dropped": [View(instrument_name="h", aggregation=DropAggregation())],
    "two streams": [View(instrument_name="h", name="a"), View(instrument_name="h", name="b", attribute_keys=set())],
}


@pytest.mark.parametrize("view", VIEWS)
@given(steps=STEPS, temporalities=st.lists(st.sampled_from(["cumulative", "delta"]), min_size=1, max_size=2))
def test_same_figures_as_the_public_way(view: str, steps: Iterable[Any], temporalities: list[str]):
    """Readers of every kind see the figures that ``record`` gives, for any measurements and times of collection."""
    ours, theirs = [reader(t) for t in temporalities], [reader(t) for t in temporalities]
    prepared = PreparedHistogram(histogram_of(MeterProvider(ours, views=VIEWS[view])))
    plain = histogram_of(MeterProvider(theirs, views=VIEWS[view]))
    known = [AttributeSet(attributes) for attributes in SETS]
    for step in [*steps, "collect"]:
        if step == "collect":
            assert [collected(one) for one in ours] == [collected(one) for one in theirs]
        else:
            which, amount = step
            prepared.record(amount, known[which])
            plain.record(amount, SETS[which])


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_nothing_is_lost_between_threads_and_collections(temporality: str):
    """Eight threads record while a ninth collects. The collected figures add up to the recorded ones."""
    of = reader(temporality)
    prepared = PreparedHistogram(histogram_of(MeterProvider([of])))
    known = AttributeSet(SETS[0])
    counts: list[int] = []

    def record() -> None:
        for _ in range(2000):
            prepared.record(0.01, known)

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counts += [point[0] for point in points(of).values()]
    for thread in threads:
        thread.join()
    counts += [point[0] for point in points(of).values()]
    assert (sum(counts) if temporality == "delta" else counts[-1]) == 8 * 2000


def test_set_beyond_the_limit_of_the_sdk_goes_the_public_way():
    """redispan counts a set in the SDK's overflow point if the SDK puts it there.

    It looks for such a set only a few times.
    """
    of = InMemoryMetricReader()
    provider = MeterProvider([of])
    prepared = PreparedHistogram(histogram_of(provider))
    many = [AttributeSet({"n": number}) for number in range(2003)]
    for _ in range(5):
        for known in many:
            prepared.record(0.01, known)
    assert sum(point[0] for point in points(of).values()) == 5 * len(many)
    assert max(known.tries for known in many) <= 3


def test_histogram_without_a_provider_is_ready_for_one():
    """Measurements before any SDK is installed are dropped. All measurements after that are kept."""
    proxy = metrics._internal._ProxyMeter("test").create_histogram("h", "s", "")
    prepared = PreparedHistogram(proxy)
    known = AttributeSet(SETS[0])
    prepared.record(0.5, known)
    of = InMemoryMetricReader()
    proxy.on_meter_set(MeterProvider([of]).get_meter("test"))
    for _ in range(3):
        prepared.record(0.5, known)
    assert is_short(prepared, known)
    assert [point[0] for point in points(of).values()] == [3]


def test_unfamiliar_sdk_is_used_as_its_interface_says():
    """An SDK of another make gets every measurement through ``record``, with the given attributes."""
    got = []

    class Foreign:
        def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
            got.append((amount, attributes))

    prepared = PreparedHistogram(Foreign())  # type: ignore[arg-type]
    known = AttributeSet(SETS[0])
    for _ in range(3):
        prepared.record(0.5, known)
    assert got == [(0.5, SETS[0])] * 3


def test_sdk_that_changes_under_way_is_left_to_its_interface():
    """If the fast path fails, redispan gives it up and counts that. No measurement after it is lost."""
    of = InMemoryMetricReader()
    prepared = PreparedHistogram(histogram_of(MeterProvider([of])))
    known = AttributeSet(SETS[0])
    prepared.record(0.5, known)
    known.cells[0].aggregation = object()
    before = SLOT.runtime.self_metrics.read("telemetry_errors").get("histogram", 0)
    for _ in range(4):
        prepared.record(0.5, known)
    assert SLOT.runtime.self_metrics.read("telemetry_errors")["histogram"] == before + 1
    assert [point[0] for point in points(of).values()] == [4]


def test_looking_for_a_set_is_bounded():
    """redispan looks for a set only among the newest few of thousands, so that a call does not pay for them all."""
    looked_at = []

    class Aggregation:
        def __init__(self, number: int) -> None:
            self._number = number

        @property
        def _attributes(self) -> dict[str, Any]:
            looked_at.append(self._number)
            return {"number": self._number}

    match = SimpleNamespace(
        _view=SimpleNamespace(_attribute_keys=None),
        _attributes_aggregation={number: Aggregation(number) for number in range(5000)},
    )
    newest = histogram_internals._cell_of(match, {"number": 4990})
    assert newest is not None
    assert newest.key == 4990
    assert histogram_internals._cell_of(match, {"number": -1}) is None
    assert len(looked_at) < 500
