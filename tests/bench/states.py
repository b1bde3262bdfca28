"""The table of states: who watches the same program. A process enters one state, once, and stays in it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
import redis.asyncio
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

SAMPLED, UNSAMPLED, NO_SDK = "sampled", "unsampled", "no SDK"


@dataclass(frozen=True)
class State:
    """A watcher and what it writes to.

    Attributes:
        watcher: Its name; empty for no watcher.
        sdk: Whether there is an SDK, and whether it samples.
        settings: The redispan settings that differ from the default.
        main: Whether it counts every operation, and whether ``--quick`` counts it at all.
    """

    watcher: str = ""
    sdk: str = NO_SDK
    settings: Mapping[str, Any] = field(default_factory=dict)
    main: bool = True

    @property
    def name(self) -> str:
        """Return the name that tables use, and that finds the state again in another process."""
        if not self.watcher:
            return "bare"
        settings = (f"{name}={str(value).lower()}" for name, value in self.settings.items())
        return ", ".join((self.watcher, *settings, self.sdk))


BARE = State()
STATES = (
    BARE,
    *(State("floor", sdk) for sdk in (SAMPLED, UNSAMPLED, NO_SDK)),
    *(State("contrib", sdk) for sdk in (SAMPLED, UNSAMPLED, NO_SDK)),
    State("native", SAMPLED, main=False),
    State("contrib + native", SAMPLED, main=False),
    *(State("redispan", sdk) for sdk in (SAMPLED, UNSAMPLED, NO_SDK)),
    State("redispan", SAMPLED, {"spans": "notable"}, main=False),
    State("redispan", SAMPLED, {"spans": "parented"}, main=False),
    State("redispan", SAMPLED, {"pool": "off"}, main=False),
    State("redispan", SAMPLED, {"insight": False}, main=False),
    State("redispan", SAMPLED, {"metrics": False}, main=False),
    State("redispan", SAMPLED, {"query_text": "keys"}, main=False),
    State("redispan", NO_SDK, {"pool": "off"}, main=False),
    State("redispan", NO_SDK, {"insight": False}, main=False),
    State("redispan", NO_SDK, {"pool": "off", "insight": False}, main=False),
    State("redispan", NO_SDK, {"pool": "off", "insight": False, "metrics": False}, main=False),
    State("pool layer alone", main=False),
)
BY_NAME = {state.name: state for state in STATES}


def enter(state: State) -> None:
    """Start everything that belongs to the state, for the rest of this process."""
    if state.sdk != NO_SDK:
        start_sdk(ALWAYS_ON if state.sdk == SAMPLED else ALWAYS_OFF)
    for watcher in filter(None, state.watcher.split(" + ")):
        _WATCHERS[watcher](state.settings)


class _Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def start_sdk(sampler: Any) -> None:
    """Set the global providers, which discard their data."""
    # Exporting is the work of a thread and the same for every watcher. Here it begins after the last operation, if at
    # all.
    many, later_ms = 1_000_000, 3_600_000
    processor = BatchSpanProcessor(
        _Nowhere(), max_queue_size=many, max_export_batch_size=many, schedule_delay_millis=later_ms
    )
    tracers = TracerProvider(sampler=sampler)
    tracers.add_span_processor(processor)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))


def _redispan(settings: Mapping[str, Any]) -> None:
    from redispan import RedispanInstrumentor, Settings

    # Background work of a process does not belong to an operation: no server to probe, no port, no sibling processes.
    alone = {"server_probe": False, "monitoring_port": 0, "host_sharing": False}
    RedispanInstrumentor().instrument(settings=Settings(**alone, **settings))


def _pool_layer(_: Mapping[str, Any]) -> None:
    from redispan._client.pool.patches import POOL_PATCHES
    from redispan.settings.pool import PoolSettings

    POOL_PATCHES.apply(PoolSettings())


def _contrib(_: Mapping[str, Any]) -> None:
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    RedisInstrumentor().instrument()


def _native(_: Mapping[str, Any]) -> None:
    from redis.observability.config import MetricGroup, OTelConfig
    from redis.observability.providers import get_observability_instance

    get_observability_instance().init(OTelConfig(metric_groups=list(MetricGroup)))


def _floor(_: Mapping[str, Any]) -> None:
    """Make the same program call OpenTelemetry by itself: one span with the same attributes, one measurement."""
    for owner in (redis.Redis, redis.RedisCluster):
        owner.execute_command = _by_hand(owner.execute_command)
    redis.client.Pipeline.execute = _by_hand(redis.client.Pipeline.execute)
    redis.asyncio.Redis.execute_command = _by_hand_async(redis.asyncio.Redis.execute_command)
    redis.asyncio.client.Pipeline.execute = _by_hand_async(redis.asyncio.client.Pipeline.execute)


MEASURED = {
    "db.system.name": "redis",
    "db.operation.name": "GET",
    "db.namespace": "0",
    "server.address": "localhost",
    "server.port": 6379,
}
TRACED = {**MEASURED, "db.query.text": "GET ?", "network.peer.address": "127.0.0.1", "network.peer.port": 6379}


def _instruments() -> tuple[Callable[[], Any], Callable[[float], None]]:
    start = trace.get_tracer("floor").start_span
    histogram = metrics.get_meter("floor").create_histogram("floor.duration", unit="s")

    def begin() -> Any:
        return start("GET localhost:6379", kind=trace.SpanKind.CLIENT, attributes=TRACED)

    return begin, lambda took_s: histogram.record(took_s, MEASURED)


def _by_hand(original: Callable[..., Any]) -> Callable[..., Any]:
    begin, record = _instruments()

    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        span, start_s = begin(), time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            record(time.perf_counter() - start_s)
            span.end()

    return watched


def _by_hand_async(original: Callable[..., Any]) -> Callable[..., Any]:
    begin, record = _instruments()

    @functools.wraps(original)
    async def watched(*args: Any, **kwargs: Any) -> Any:
        span, start_s = begin(), time.perf_counter()
        try:
            return await original(*args, **kwargs)
        finally:
            record(time.perf_counter() - start_s)
            span.end()

    return watched


_WATCHERS = {
    "redispan": _redispan,
    "pool layer alone": _pool_layer,
    "contrib": _contrib,
    "native": _native,
    "floor": _floor,
}
