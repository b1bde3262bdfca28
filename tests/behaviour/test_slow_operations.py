"""Slow operations on a server that is really slow: redispan detects each once, whatever happens to the span."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

from clients import acquire
from redispan import RedispanInstrumentor, Settings, on_alert
from redispan._core.slot import SLOT
from redispan._runtime.runtime import current
from redispan.testing import TelemetryInMemory
from servers.redis_server import RedisServer
from waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.redis

SLOW = "redis.client.alert.slow_operation"
LOOP = "local t = redis.call('TIME') repeat local n = redis.call('TIME') until (n[1]-t[1])*1000000+n[2]-t[2] > 70000"


@pytest.fixture
def server(new_redis_server: Any) -> RedisServer:
    """Return a server that can be made to sleep."""
    return new_redis_server(enable_debug_command="yes")


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """Yield a connected client, so that connecting is not part of a slow operation."""
    with redis.Redis.from_url(server.url) as client:
        client.ping()
        yield client


def instrument(telemetry: TelemetryInMemory, **settings: Any) -> None:
    """Instrument so that every slow operation is reported."""
    chosen = {"slow_interval_s": 0.0, "slow_log_ms": 0.0, **settings}
    RedispanInstrumentor().instrument(settings=Settings(**chosen), **telemetry.providers)


def detections(telemetry: TelemetryInMemory) -> float:
    """Return the number of slow operations in the counter."""
    return telemetry.value("redis.client.alerts", {"redis.client.alert.name": "slow_operation"})


def slow_by_the_window(threshold_ms: float = 50.0) -> list[str]:
    """Return the commands of the operations that took longer. On a busy machine, a quick command may be among them."""
    return [
        command
        for endpoint in current().snapshot()["endpoints"].values()
        for _, duration_ns, command, *_ in endpoint["answers"]["window"]
        if duration_ns > threshold_ms * 1e6
    ]


def of_sleep(events: list[Any]) -> list[Any]:
    """Return the events of operations that were meant to be slow."""
    return [event for event in events if event.attributes["db.operation.name"] == "DEBUG SLEEP"]


def test_a_slow_operation_is_marked_counted_and_emitted(telemetry: TelemetryInMemory, client: redis.Redis) -> None:
    """DEBUG SLEEP of 70 ms gives a mark on the span, an event in the span's context, a count and a callback.

    All of them agree.
    """
    instrument(telemetry)
    recorded: list[Any] = []
    unsubscribe = on_alert(recorded.append)
    client.execute_command("DEBUG", "SLEEP", "0.07")
    unsubscribe()
    client.get("quick")
    span = telemetry.span(f"DEBUG SLEEP 127.0.0.1:{client.connection_pool.connection_kwargs['port']}")
    assert span.attributes["redis.client.operation.slow"] is True
    assert span.attributes["redis.client.operation.slow.threshold"] == 0.05
    (event,) = of_sleep(telemetry.events(SLOW))
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)
    assert event.timestamp
    assert event.attributes["server.port"] == client.connection_pool.connection_kwargs["port"]
    assert event.attributes["redis.client.operation.duration"] >= 0.07
    assert event.attributes["redis.client.alert.held_back"] == 0
    assert detections(telemetry) == len(slow_by_the_window())
    assert [alert.command for alert in recorded] == ["DEBUG SLEEP"]


@pytest.mark.parametrize(
    ("sampler", "policy"),
    [
        (ALWAYS_ON, "all"),
        (ALWAYS_OFF, "all"),
        (ParentBased(ALWAYS_OFF), "parented"),
        (ALWAYS_ON, "notable"),
        (ALWAYS_ON, "parented"),
        (ALWAYS_OFF, "notable"),
    ],
)
def test_detection_is_independent_of_spans(client: redis.Redis, sampler: Any, policy: str) -> None:
    """redispan detects every slow operation exactly once, sampled or not, with any span policy.

    It never detects a quick one.
    """
    telemetry = TelemetryInMemory(sampler=sampler)
    instrument(telemetry, spans=policy)
    for _ in range(2):
        client.execute_command("DEBUG", "SLEEP", "0.06")
        client.get("quick")
    slow = slow_by_the_window()
    assert slow.count("DEBUG SLEEP") == 2
    assert detections(telemetry) == len(slow)
    assert [event.attributes["db.operation.name"] for event in telemetry.events(SLOW)] == slow
    telemetry.close()


def test_without_an_sdk_it_is_still_detected(client: redis.Redis) -> None:
    """Without any provider, redispan still writes the log line and calls the callback, and nothing fails."""
    RedispanInstrumentor().instrument(settings=Settings(slow_interval_s=0.0))
    recorded: list[Any] = []
    unsubscribe = on_alert(recorded.append)
    client.execute_command("DEBUG", "SLEEP", "0.06")
    unsubscribe()
    assert len(recorded) == 1
    assert SLOT.runtime.alerts.snapshot()["counts"] == {"slow_operation": 1}


async def test_an_async_operation_is_detected_alike(telemetry: TelemetryInMemory, server: RedisServer) -> None:
    """The asyncio client's slow operations are detected in the same way, with two operations at once."""
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.ping()
        instrument(telemetry)
        await asyncio.gather(client.execute_command("DEBUG", "SLEEP", "0.06"), client.get("x"))
        await client.get("quick")
    commands = [event.attributes["db.operation.name"] for event in telemetry.events(SLOW)]
    assert commands.count("DEBUG SLEEP") == 1
    assert sorted(commands) == sorted(slow_by_the_window())
    assert detections(telemetry) == len(commands)


def test_a_script_that_loops_is_slow(telemetry: TelemetryInMemory, client: redis.Redis) -> None:
    """A Lua loop of 70 ms is detected, and its text is emitted nowhere."""
    instrument(telemetry)
    client.eval(LOOP, 0)
    (event,) = telemetry.events(SLOW)
    assert event.attributes["db.operation.name"] == "EVAL"
    assert "repeat" not in str([dict(record.attributes) for record in telemetry.logs()])


def test_a_paused_server_is_slow(telemetry: TelemetryInMemory, client: redis.Redis, server: RedisServer) -> None:
    """CLIENT PAUSE makes any command slow. The command is named, and its key and value are not."""
    instrument(telemetry)
    server.call("CLIENT", "PAUSE", "500")
    client.set("secret-key", "secret-value")
    (event,) = telemetry.events(SLOW)
    assert event.attributes["db.operation.name"] == "SET"
    assert "secret" not in str(dict(event.attributes))


def test_a_blocking_command_is_never_slow(telemetry: TelemetryInMemory, client: redis.Redis) -> None:
    """A BLPOP that waits for 0.2 s is not slow: it raises no alert, is in no percentile and is reported separately."""
    instrument(telemetry, slow_log_ms=10.0)
    assert client.blpop("nothing", timeout=0.2) is None
    assert detections(telemetry) == 0
    (endpoint,) = current().snapshot()["endpoints"].values()
    assert "BLPOP" in endpoint["blocking"]["totals"]
    assert "BLPOP" not in endpoint["answers"]["totals"]


def test_what_is_held_back_is_counted_and_emitted_later(telemetry: TelemetryInMemory, client: redis.Redis) -> None:
    """The detections are those emitted plus those held back: the next event says how many were held back meanwhile."""
    now = 0.0
    instrument(telemetry, slow_interval_s=10.0, slow_alert_ms=5.0)
    SLOT.runtime.alerts.limit._clock_s = lambda: now
    try:
        for _ in range(4):
            client.execute_command("DEBUG", "SLEEP", "0.006")
        now = 11.0
        client.execute_command("DEBUG", "SLEEP", "0.006")
    finally:
        SLOT.runtime.alerts.limit._clock_s = time.monotonic
    slow = of_sleep(telemetry.events(SLOW))
    assert [event.attributes["redis.client.alert.held_back"] for event in slow] == [0, 3]
    emitted = telemetry.events(SLOW)
    held_back = sum(event.attributes["redis.client.alert.held_back"] for event in emitted)
    assert detections(telemetry) == len(emitted) + held_back + SLOT.runtime.alerts.limit.waiting()


def test_below_the_alert_it_is_logged(
    telemetry: TelemetryInMemory, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """20 ms is below the alert. It is a log line with command, endpoint, duration and retries, and no argument."""
    instrument(telemetry, slow_log_ms=15.0, slow_alert_ms=2000.0)
    client.execute_command("DEBUG", "SLEEP", "0.02")
    (record,) = [record for record in caplog.records if record.name == "redispan.slow"]
    message = record.getMessage()
    assert message.startswith("redispan: DEBUG SLEEP on 127.0.0.1:")
    assert "server and network" in message
    assert "0 retries" in message
    assert "0.02" not in message.partition(" took ")[0]
    assert not telemetry.events(SLOW)


def test_the_alert_says_where_the_time_went(telemetry: TelemetryInMemory, server: RedisServer) -> None:
    """For a caller that waits for another's connection, the alert names the pool as the cause, not the server."""
    instrument(telemetry)
    pool = redis.BlockingConnectionPool.from_url(server.url, max_connections=1, timeout=PATIENCE_S)
    client = redis.Redis(connection_pool=pool)
    client.ping()
    taken = acquire(pool)
    waiting = threading.Thread(target=client.get, args=("waits",))
    waiting.start()
    wait_until(lambda: any(one["pending"] for one in current().snapshot()["pools"]), "somebody who waits")
    time.sleep(0.2)
    pool.release(taken)
    waiting.join()
    pool.disconnect()
    (event,) = [event for event in telemetry.events(SLOW) if event.attributes["db.operation.name"] == "GET"]
    waited = event.attributes["redis.client.operation.pool_wait.time"]
    assert 0.2 <= waited <= event.attributes["redis.client.operation.duration"]


def test_an_opentelemetry_log_handler_gets_no_second_record(
    telemetry: TelemetryInMemory, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """With OpenTelemetry's handler on Python's logging too, the alert is exported once.

    The log line is still visible.
    """
    seen: list[str] = []

    class Exporting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    Exporting.__module__ = "opentelemetry.instrumentation.logging.handler"
    handler = Exporting()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        instrument(telemetry)
        client.execute_command("DEBUG", "SLEEP", "0.06")
    finally:
        root.removeHandler(handler)
    assert not seen
    assert any("DEBUG SLEEP" in record.getMessage() for record in caplog.records)
