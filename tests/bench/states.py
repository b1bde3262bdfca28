"""The states that are compared: who watches the same program in the same process, one after the other, interleaved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import metrics
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import SpanKind

from redispan import RedispanInstrumentor, Settings

ATTRIBUTES = {
    "db.system.name": "redis",
    "db.operation.name": "GET",
    "db.namespace": "0",
    "server.address": "localhost",
    "server.port": 6379,
    "db.query.text": "GET ?",
    "network.peer.address": "127.0.0.1",
    "network.peer.port": 6379,
}
METRIC_ATTRIBUTES = {key: ATTRIBUTES[key] for key in list(ATTRIBUTES)[:5]}


class NullExporter(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def _tracers(sampler: Any) -> TracerProvider:
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(BatchSpanProcessor(NullExporter(), max_queue_size=100_000))
    return provider


METERS = MeterProvider([InMemoryMetricReader()])
metrics.set_meter_provider(METERS)  # redis-py's own metrics know the global provider alone
SAMPLED, UNSAMPLED = _tracers(ALWAYS_ON), _tracers(ALWAYS_OFF)


def drain() -> None:
    """Let the span processors finish what the last state gave them."""
    SAMPLED.force_flush()


class Floor:
    """The same program calling the SDK by itself: one span with the same attributes, one measurement."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("floor")
        self._record = METERS.get_meter("floor").create_histogram("floor.duration", unit="s").record

    def around(self, call: Callable[[], Any]) -> Callable[[], Any]:
        start_span, record = self._tracer.start_span, self._record

        def watched() -> Any:
            span = start_span("GET localhost:6379", kind=SpanKind.CLIENT, attributes=ATTRIBUTES)
            try:
                return call()
            finally:
                record(0.0001, METRIC_ATTRIBUTES)
                span.end()

        return watched

    def around_async(self, call: Callable[[], Any]) -> Callable[[], Any]:
        start_span, record = self._tracer.start_span, self._record

        async def watched() -> Any:
            span = start_span("GET localhost:6379", kind=SpanKind.CLIENT, attributes=ATTRIBUTES)
            try:
                return await call()
            finally:
                record(0.0001, METRIC_ATTRIBUTES)
                span.end()

        return watched


@contextmanager
def redispan_on(tracers: Any, meters: Any = None, **settings: Any) -> Iterator[None]:
    # A meter provider of its own each time: in one for all rounds, every round would register its instruments again.
    meters = MeterProvider([InMemoryMetricReader()]) if meters is None else meters
    RedispanInstrumentor().instrument(settings=Settings(**settings), tracer_provider=tracers, meter_provider=meters)
    try:
        yield
    finally:
        RedispanInstrumentor().uninstrument()


@contextmanager
def contrib_on(tracers: Any) -> Iterator[None]:
    RedisInstrumentor().instrument(tracer_provider=tracers)
    try:
        yield
    finally:
        RedisInstrumentor().uninstrument()


@contextmanager
def native_on() -> Iterator[None]:
    try:
        from redis.observability.config import MetricGroup, OTelConfig
        from redis.observability.providers import get_observability_instance
        from redis.observability.recorder import reset_collector
    except ImportError:
        yield
        return
    groups = [
        MetricGroup.COMMAND,
        MetricGroup.CONNECTION_BASIC,
        MetricGroup.CONNECTION_ADVANCED,
        MetricGroup.RESILIENCY,
    ]
    reset_collector()
    get_observability_instance().init(OTelConfig(metric_groups=groups))
    try:
        yield
    finally:
        get_observability_instance().shutdown()
        reset_collector()


@contextmanager
def contrib_and_native(tracers: Any) -> Iterator[None]:
    with native_on(), contrib_on(tracers):
        yield


@contextmanager
def bare() -> Iterator[None]:
    yield


STATES: dict[str, Callable[[], Any]] = {
    "bare": bare,
    "floor, sampled": bare,
    "floor, unsampled": bare,
    "redispan, sampled": lambda: redispan_on(SAMPLED),
    "redispan, unsampled": lambda: redispan_on(UNSAMPLED),
    "redispan, no SDK": lambda: redispan_on(None, NoOpMeterProvider()),
    "redispan, spans=parented, no parent": lambda: redispan_on(SAMPLED, spans="parented"),
    "redispan, spans=notable": lambda: redispan_on(SAMPLED, spans="notable"),
    "contrib (spans alone), sampled": lambda: contrib_on(SAMPLED),
    "redis-py native metrics": native_on,
    "contrib + native, sampled": lambda: contrib_and_native(SAMPLED),
}
FLOORS = {"floor, sampled": Floor(SAMPLED), "floor, unsampled": Floor(UNSAMPLED)}

BUDGETS = (
    # what, state, against, kind, limit
    ("sampled against its floor", "redispan, sampled", "floor, sampled", "ratio", 1.15),
    ("unsampled against its floor", "redispan, unsampled", "floor, unsampled", "ratio", 1.25),
    ("no SDK, over the bare call", "redispan, no SDK", "bare", "us", 2.0),
    ("spans=notable against spans=all", "redispan, spans=notable", "redispan, sampled", "ratio", 0.5),
    ("against contrib (spans alone)", "redispan, sampled", "contrib (spans alone), sampled", "ratio", 1.0),
    ("against contrib + native", "redispan, sampled", "contrib + native, sampled", "ratio", 0.4),
)
