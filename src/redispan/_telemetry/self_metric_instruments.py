"""The self-metrics as observable counters, which cost nothing between two collections of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from redispan._core.slot import SLOT

COUNTERS = (
    # The name of the instrument, the name in the self-metrics, the attribute for the kind, the unit, the description.
    (
        "redis.client.operations",
        "operations",
        "redis.client.command.group",
        "{operation}",
        "Operations recorded, by group of commands; a batch counts its commands.",
    ),
    (
        "redis.client.raw_commands",
        "raw",
        "redis.client.command.group",
        "{command}",
        "Commands sent on a bare connection, outside any client call, by group of commands. They have no span.",
    ),
    ("redis.client.operation.retries", "retries", None, "{retry}", "Attempts repeated inside the client."),
    ("redis.client.redirects", "redirects", None, "{redirect}", "MOVED and ASK answers followed."),
    (
        "redis.client.pubsub.received",
        "messages",
        "redis.client.pubsub.message.type",
        "{message}",
        "Pub/sub messages received.",
    ),
    ("redis.client.cache.hits", "cache_hits", None, "{hit}", "Calls answered by redis-py's client-side cache."),
    (
        "redis.client.telemetry.errors",
        "telemetry_errors",
        "redis.client.telemetry.part",
        "{error}",
        "Faults inside redispan; the program was not affected.",
    ),
    (
        "redis.client.telemetry.dropped",
        "dropped",
        "redis.client.telemetry.kind",
        "{item}",
        "What redispan did not report, by kind: excluded, rate-limited or for want of room.",
    ),
)


def create(meter: Meter) -> None:
    """Create the observable counters of the self-metrics of this process."""
    for name, entry, attribute, unit, description in COUNTERS:
        meter.create_observable_counter(name, callbacks=[_reader(entry, attribute)], unit=unit, description=description)


def _reader(entry: str, attribute: str | None) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterable[Observation]:
        for kind, count in SLOT.runtime.self_metrics.read(entry).items():
            yield Observation(count, {attribute: kind} if attribute is not None else None)

    return read
