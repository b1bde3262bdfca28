"""The readings of the server probe as gauges ``redis.server.*``.

The Redis receiver of the OpenTelemetry Collector uses other metric names. Only the process that probes a server reports
it, so that no backend adds up the same server once per worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from redispan._core.records import ServerReading

Readings = Callable[[], Iterable[ServerReading]]
Value = Callable[[ServerReading], "float | int | None"]


def _figure(name: str) -> Value:
    def read(reading: ServerReading) -> float | int | None:
        found = reading.figures.get(name)
        return found if isinstance(found, (int, float)) else None

    return read


GAUGES: tuple[tuple[str, str, str, Value], ...] = (
    ("redis.server.up", "1", "Whether the server answers the probe.", lambda reading: int(reading.reachable)),
    ("redis.server.memory.used", "By", "Memory in use.", lambda reading: reading.used_memory_bytes),
    (
        "redis.server.memory.limit",
        "By",
        "The server's memory limit, or its host's memory where it has none.",
        lambda reading: reading.max_memory_bytes or reading.host_memory_bytes,
    ),
    ("redis.server.memory.utilization", "1", "Memory in use as a share of the limit.", lambda r: r.memory_share),
    ("redis.server.clients.connected", "{client}", "Clients connected.", _figure("connected_clients")),
    ("redis.server.clients.blocked", "{client}", "Clients in a blocking command.", _figure("blocked_clients")),
    ("redis.server.clients.limit", "{client}", "Most clients it accepts.", _figure("maxclients")),
    ("redis.server.operation.rate", "{operation}/s", "Commands per second.", _figure("instantaneous_ops_per_sec")),
    ("redis.server.keys", "{key}", "Keys in all databases.", _figure("keys")),
    ("redis.server.keyspace.hit_ratio", "1", "Share of lookups that found a key.", _figure("hit_ratio")),
    ("redis.server.slowlog.length", "{entry}", "Entries in its slow log.", _figure("slowlog_length")),
)


def create(meter: Meter, readings: Readings) -> None:
    """Create the gauges, which call ``readings`` each time that metrics are collected.

    Args:
        meter: redispan's meter.
        readings: Returns the latest reading of each server that this process probes.
    """
    for name, unit, description, value in GAUGES:
        meter.create_observable_gauge(name, callbacks=[_reader(readings, value)], unit=unit, description=description)


def _reader(readings: Readings, value: Value) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterable[Observation]:
        for reading in readings():
            found = value(reading)
            if found is not None and reading.address is not None:
                attributes: dict[str, str | int] = {"server.address": reading.address}
                if reading.port is not None:
                    attributes["server.port"] = reading.port
                yield Observation(found, attributes)

    return read
