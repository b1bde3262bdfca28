"""The metrics and events of connection pools.

The metrics ``db.client.connection.*`` follow the semantic conventions, and ``redis.client.connection.*`` adds to them.
The gauges and counters are read from the pools when metrics are collected.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from redispan._core.pool_sources import PoolEvent, PoolStats
from redispan._core.rate_limit import RateLimit
from redispan._core.slot import SLOT
from redispan._semconv import names
from redispan._telemetry import events

_REASON = "redis.client.connection.close.reason"
_EVENTS = {"exhausted": "redis.client.pool.exhausted", "resized": "redis.client.pool.resized"}
_EVENTS_INTERVAL_S = 10.0

Row = tuple[str, str, str, str, Callable[[PoolStats], Any]]

_GAUGES: tuple[Row, ...] = (
    # The name of the instrument, its unit and description, the attribute of a figure with several parts, and the
    # function that reads the figure.
    (
        names.METRIC_CONNECTION_COUNT,
        "{connection}",
        "Open connections, by state.",
        names.DB_CLIENT_CONNECTION_STATE,
        lambda pool: {"idle": pool.idle, "used": pool.used},
    ),
    (
        names.METRIC_CONNECTION_MAX,
        "{connection}",
        "The most connections that the pool makes.",
        "",
        lambda pool: pool.limit,
    ),
    (
        names.METRIC_CONNECTION_IDLE_MAX,
        "{connection}",
        "The most connections that the pool keeps idle.",
        "",
        lambda pool: pool.limit,
    ),
    (
        names.METRIC_CONNECTION_IDLE_MIN,
        "{connection}",
        "The fewest connections that the pool keeps idle.",
        "",
        lambda _: 0,
    ),
    (
        names.METRIC_CONNECTION_PENDING_REQUESTS,
        "{request}",
        "Callers waiting for a connection.",
        "",
        lambda pool: pool.pending,
    ),
    (
        "redis.client.connection.parked",
        "{connection}",
        "Of the used connections, those that sit in a blocking read or a subscription.",
        "",
        lambda pool: pool.parked,
    ),
)

_COUNTERS: tuple[Row, ...] = (
    (
        names.METRIC_CONNECTION_TIMEOUTS,
        "{timeout}",
        "Waits for a connection that were in vain.",
        "",
        lambda pool: pool.timeouts,
    ),
    ("redis.client.connection.created", "{connection}", "Connections opened.", "", lambda pool: pool.created),
    (
        "redis.client.connection.reused",
        "{use}",
        "Uses of a connection that was open already.",
        "",
        lambda pool: pool.reused,
    ),
    (
        "redis.client.connection.failures",
        "{connection}",
        "Connections that could not be opened.",
        "",
        lambda pool: pool.connect_failures,
    ),
    (
        "redis.client.connection.closed",
        "{connection}",
        "Connections closed, by reason.",
        _REASON,
        lambda pool: pool.closed,
    ),
    ("redis.client.connection.waits", "{wait}", "Waits for a connection.", "", lambda pool: pool.waits),
    ("redis.client.connection.waited", "s", "Time spent waiting for a connection.", "", lambda pool: pool.wait_s),
    (
        "redis.client.connection.exceeded",
        "{connection}",
        "Connections opened beyond a soft limit.",
        "",
        lambda pool: pool.exceeded,
    ),
)


Observe = Callable[[CallbackOptions], Iterable[Observation]]

_ACTIVE: weakref.WeakKeyDictionary[Meter, PoolTelemetry] = weakref.WeakKeyDictionary()
"""The ``PoolTelemetry`` that reports the pools to each meter now: a new one each time redispan is switched on."""


class PoolTelemetry:
    """Emits the metrics and events of the pools of this process through one meter and one logger."""

    def __init__(
        self, meter: Meter | None, logger: Logger | None, *, histograms: bool, elsewhere: Callable[[str], bool]
    ) -> None:
        """Start emitting metrics and events.

        Args:
            meter: redispan's meter; None for no metrics.
            logger: redispan's OpenTelemetry logger; None for no events.
            histograms: Whether the wait time and the use time of each connection are recorded too.
            elsewhere: Returns whether redis-py emits the metric of a given name itself, at this moment.
        """
        self._elsewhere = elsewhere
        self._logger = logger
        self._limit = RateLimit(_EVENTS_INTERVAL_S, time.monotonic)
        self._pid = os.getpid()
        self._listeners: list[tuple[list[Callable[[str, float], None]], Callable[[str, float], None]]] = []
        if meter is not None:
            self._observe(meter)
            self._record(meter, histograms=histograms)
        if logger is not None:
            SLOT.runtime.pool_sources.listen(self._on_event)

    def stop(self) -> None:
        """Stop emitting metrics and events."""
        for meter, active in list(_ACTIVE.items()):
            if active is self:
                del _ACTIVE[meter]
        SLOT.runtime.pool_sources.forget(self._on_event)
        for listeners, listener in self._listeners:
            if listener in listeners:
                listeners.remove(listener)
        self._listeners.clear()

    def _observe(self, meter: Meter) -> None:
        _ACTIVE[meter] = self
        for name, unit, description, attribute, read in _GAUGES:
            meter.create_observable_up_down_counter(
                name, callbacks=[_reader(meter, name, attribute, read)], unit=unit, description=description
            )
        for name, unit, description, attribute, read in _COUNTERS:
            meter.create_observable_counter(
                name, callbacks=[_reader(meter, name, attribute, read)], unit=unit, description=description
            )

    def _record(self, meter: Meter, *, histograms: bool) -> None:
        sources = SLOT.runtime.pool_sources
        wanted = [(names.METRIC_CONNECTION_CREATE_TIME, "Time to open a connection.", sources.on_created)]
        if histograms:
            wanted += [
                (
                    names.METRIC_CONNECTION_WAIT_TIME,
                    "Time to get a connection from the pool.",
                    sources.on_waited,
                ),
                (
                    names.METRIC_CONNECTION_USE_TIME,
                    "Time between lending a connection and its return.",
                    sources.on_used,
                ),
            ]
        for name, description, listeners in wanted:
            record = meter.create_histogram(
                name,
                unit="s",
                description=description,
                explicit_bucket_boundaries_advisory=list(names.DURATION_BUCKETS_S),
            ).record
            listener = self._recorder(name, record)
            listeners.append(listener)
            self._listeners.append((listeners, listener))

    def _recorder(self, name: str, record: Callable[..., None]) -> Callable[[str, float], None]:
        def listener(pool: str, seconds: float) -> None:
            if not self._elsewhere(name):
                record(seconds, {names.DB_CLIENT_CONNECTION_POOL_NAME: pool})

        return listener

    def leaves(self, name: str) -> bool:
        """Return whether redis-py emits the metric of this name itself, at this moment."""
        return self._elsewhere(name)

    def _on_event(self, event: PoolEvent) -> None:
        if self._pid != os.getpid():
            # In a forked child, a thread that does not exist here may have held the lock of the rate limit.
            self._pid = os.getpid()
            self._limit.reset()
        held_back = self._limit.admit((event.kind, event.pool))
        if held_back is None or self._logger is None:
            return
        attributes: dict[str, Any] = {
            names.DB_CLIENT_CONNECTION_POOL_NAME: event.pool,
            "redis.client.pool.used": event.used,
            "redis.client.pool.wait.time": round(event.waited_s, 3),
            "redis.client.pool.held_back": held_back,
            "redis.client.pool.reason": event.reason,
        }
        if event.limit is not None:
            attributes["redis.client.pool.limit"] = int(event.limit)
        severity = SeverityNumber.INFO if event.kind == "resized" else SeverityNumber.WARN
        events.emit_event(self._logger, _EVENTS[event.kind], severity, attributes, time.time_ns())


def _reader(meter: Meter, name: str, attribute: str, read: Callable[[PoolStats], Any]) -> Observe:
    """Return the callback of one instrument of ``meter``.

    A meter keeps the first callback that it is given for an instrument. So the callback looks up the current
    ``PoolTelemetry`` each time.
    """

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        active = _ACTIVE.get(meter)
        if active is None or active.leaves(name):
            return
        for pool in SLOT.runtime.pool_sources.read():
            yield from _observations(pool, attribute, read(pool))

    return observe


def _observations(pool: PoolStats, attribute: str, value: Any) -> Iterable[Observation]:
    if value is None:
        return
    if not attribute:
        yield Observation(value, {names.DB_CLIENT_CONNECTION_POOL_NAME: pool.name})
        return
    for kind, part in value.items():
        yield Observation(part, {names.DB_CLIENT_CONNECTION_POOL_NAME: pool.name, attribute: kind})
