"""With ``spans=notable`` redispan writes a span after the operation.

Its events, exemplars and hooks belong to it as to any other span.
"""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from clients import World, outcome_of, settle, sync_and_async, with_clusters
from redispan.testing import TelemetryInMemory

EXCEPTION = "db.client.operation.exception"
SLOW = "redis.client.alert.slow_operation"

Instrument = Callable[..., TelemetryInMemory]


@with_clusters
async def test_the_exception_event_is_in_the_spans_context(world: World, instrument: Instrument) -> None:
    """The event and the exemplar of a failure carry the span that is written for it, and not its parent span."""
    recorded = instrument(spans="notable", slow_alert_ms=30_000)
    client = world.client()
    await settle(client.set("k", "v"))
    with recorded.tracer_provider.get_tracer("caller").start_as_current_span("caller"):
        await outcome_of(lambda: client.lpush("k", "x"))
    span = next(span for span in recorded.spans() if span.name.startswith("LPUSH"))
    (event,) = recorded.events(EXCEPTION)
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)
    exemplars = [
        exemplar.span_id
        for point in recorded.metric("db.client.operation.duration")
        for exemplar in point.exemplars
        if "error.type" in point.attributes
    ]
    assert exemplars == [span.context.span_id]


@sync_and_async
async def test_the_slow_alert_is_in_the_spans_context(world: World, instrument: Instrument) -> None:
    """The alert of a slow operation carries the span that is written for it. There is one alert and one span."""
    recorded = instrument(spans="notable", slow_alert_ms=30, slow_interval_s=0)
    client = world.client()
    await settle(client.ping())
    world.server.call("CLIENT", "PAUSE", "500")
    with recorded.tracer_provider.get_tracer("caller").start_as_current_span("caller"):
        await settle(client.set("k", "v"))
    (span,) = [span for span in recorded.spans() if span.name.startswith("SET")]
    (event,) = [event for event in recorded.events(SLOW) if event.attributes["db.operation.name"] == "SET"]
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)
    assert span.attributes["redis.client.operation.slow"] is True


@sync_and_async
async def test_hooks_see_it_too(world: World, instrument: Instrument) -> None:
    """Both hooks are called for a span that is written late. Neither is called for an operation without a span."""
    seen: list[tuple[str, Any]] = []
    instrument(
        spans="notable",
        slow_alert_ms=30_000,
        request_hook=lambda span, instance, args, kwargs: seen.append(("request", args[0])),
        response_hook=lambda span, instance, response: seen.append(("response", type(response))),
    )
    client = world.client()
    await settle(client.set("k", "v"))
    await outcome_of(lambda: client.lpush("k", "x"))
    assert seen == [("request", "LPUSH"), ("response", redis.ResponseError)]


@pytest.mark.parametrize("world", ["sync", "async"], indirect=True)
async def test_flow_control_is_not_notable(world: World, instrument: Instrument) -> None:
    """An optimistic transaction that lost its race is no failure, so it gets no span."""
    recorded = instrument(spans="notable", slow_alert_ms=30_000)
    client = world.client()
    pipeline = world.pipeline(client, transaction=True)
    await settle(pipeline.watch("k"))
    await settle(client.set("k", "changed"))
    pipeline.multi()
    pipeline.set("k", "mine")
    _, error = await outcome_of(pipeline.execute)
    assert isinstance(error, redis.WatchError)
    assert recorded.spans() == []


@sync_and_async
async def test_the_callers_context_is_left_as_it_was(world: World, instrument: Instrument) -> None:
    """After a failure the caller's span is current again."""
    recorded = instrument(spans="notable", slow_alert_ms=30_000)
    client = world.client()
    await settle(client.set("k", "v"))
    tracer = recorded.tracer_provider.get_tracer("caller")
    with tracer.start_as_current_span("caller") as caller:
        await outcome_of(lambda: client.lpush("k", "x"))
        tracer.start_span("next").end()
    following = next(span for span in recorded.spans() if span.name == "next")
    assert following.parent is not None
    assert following.parent.span_id == caller.get_span_context().span_id
