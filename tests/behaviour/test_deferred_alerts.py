"""Deferred alerts: when no operation follows, the last held-back alert is emitted later, once, in its own context."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from redispan import RedispanInstrumentor, Settings, on_alert
from redispan._core.slot import SLOT
from redispan.testing import TelemetryInMemory
from servers.redis_server import RedisServer
from waiting import wait_until

pytestmark = pytest.mark.redis

SLOW = "redis.client.alert.slow_operation"
HELD_BACK = "redis.client.alert.held_back"

PROGRAM = """
import logging, sys, redis
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter
from redispan import RedispanInstrumentor, Settings

logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
provider = LoggerProvider()
provider.add_log_record_processor(BatchLogRecordProcessor(ConsoleLogRecordExporter(
    formatter=lambda record: f"EVENT {record.log_record.attributes['redis.client.alert.held_back']}\\n")))
_logs.set_logger_provider(provider)
RedispanInstrumentor().instrument(settings=Settings(**SETTINGS))
client = redis.Redis.from_url(sys.argv[1])
for _ in range(4):
    client.execute_command("DEBUG", "SLEEP", "0.02")
client.close()
"""


@pytest.fixture
def server(new_redis_server: Any) -> RedisServer:
    """Return a server that can be made to sleep."""
    return new_redis_server(enable_debug_command="yes")


@pytest.fixture
def be_slow(server: RedisServer, telemetry: TelemetryInMemory) -> Iterator[Callable[..., None]]:
    """Yield a function that instruments with the given settings and makes some operations that take 20 ms."""
    with redis.Redis.from_url(server.url) as client:
        client.ping()

        def run(times: int, **settings: Any) -> None:
            SLOT.runtime.self_metrics.clear()
            chosen = {"slow_alert_ms": 15.0, "slow_log_ms": 0.0, "server_probe": False, "spans": "all", **settings}
            RedispanInstrumentor().instrument(settings=Settings(**chosen), **telemetry.providers)
            for _ in range(times):
                client.execute_command("DEBUG", "SLEEP", "0.02")

        yield run


def slow_events(telemetry: TelemetryInMemory) -> list[Any]:
    """Return the events so far for the operations that were meant to be slow."""
    return [event for event in telemetry.events(SLOW) if event.attributes["db.operation.name"] == "DEBUG SLEEP"]


def test_the_last_one_is_emitted_when_nothing_follows(
    telemetry: TelemetryInMemory, be_slow: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """redispan emits event, log line and callback a second after the interval, without a further operation.

    The numbers of held-back alerts add up.
    """
    recorded: list[Any] = []
    unsubscribe = on_alert(recorded.append)
    be_slow(4, slow_interval_s=1.0)
    wait_until(lambda: len(slow_events(telemetry)) > 1, "the event of what was held back")
    # The emitting thread emits the event first, then the log line and the callback.
    wait_until(lambda: len([alert for alert in recorded if alert.command == "DEBUG SLEEP"]) > 1, "the callback")
    unsubscribe()
    events = slow_events(telemetry)
    assert [event.attributes[HELD_BACK] for event in events] == [0, 2]
    spans = [span for span in telemetry.spans() if span.name.startswith("DEBUG SLEEP")]
    assert (events[1].trace_id, events[1].span_id) == (spans[-1].context.trace_id, spans[-1].context.span_id)
    assert [alert.held_back for alert in recorded if alert.command == "DEBUG SLEEP"] == [0, 2]
    assert caplog.messages[-1].endswith("; 2 like it since the last line")
    assert SLOT.runtime.self_metrics.read("dropped")["alerts"] == 2
    snapshot = SLOT.runtime.alerts.snapshot()
    assert (snapshot["counts"], snapshot["emitted"]) == ({"slow_operation": 4}, {"slow_operation": 2})
    assert SLOT.runtime.alerts.limit.waiting() == 0


def test_without_a_thread_whoever_comes_by_emits_it(
    telemetry: TelemetryInMemory, be_slow: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without host sharing and probe, redispan has no thread.

    The next metric collection emits the alert, and the one after it emits nothing.
    """
    before = set(threading.enumerate())
    be_slow(3, slow_interval_s=1000.0, host_sharing=False)
    assert set(threading.enumerate()) <= before
    telemetry.value("redis.client.alerts")
    assert len(slow_events(telemetry)) == 1
    later = time.monotonic() + 1001
    monkeypatch.setattr(SLOT.runtime.alerts.limit, "_clock_s", lambda: later)
    for _ in range(2):
        assert telemetry.value("redis.client.alerts", {"redis.client.alert.name": "slow_operation"}) == 3
    assert [event.attributes[HELD_BACK] for event in slow_events(telemetry)] == [0, 1]


def test_what_is_only_logged_is_emitted_later_alike(
    telemetry: TelemetryInMemory, be_slow: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """For operations below the alert threshold, uninstrumenting logs the last line that was held back."""
    caplog.set_level(logging.WARNING, "redispan.slow")
    be_slow(4, slow_interval_s=1000.0, slow_alert_ms=5000.0, slow_log_ms=15.0)
    lines = [line for line in caplog.messages if line.startswith("redispan: DEBUG SLEEP")]
    assert len(lines) == 1
    RedispanInstrumentor().uninstrument()
    lines = [line for line in caplog.messages if line.startswith("redispan: DEBUG SLEEP")]
    assert [line.partition("retries)")[2] for line in lines] == ["", "; 2 like it since the last line"]
    assert not telemetry.events(SLOW)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_emits_nothing_of_its_parent(telemetry: TelemetryInMemory, be_slow: Callable[..., None]) -> None:
    """Only the parent emits the alerts that it held back."""
    be_slow(3, slow_interval_s=1000.0, host_sharing=False)
    child = os.fork()
    if not child:
        SLOT.runtime.deferred_alerts.emit_due(everything=True)
        os._exit(len(slow_events(telemetry)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    SLOT.runtime.deferred_alerts.emit_due(everything=True)
    assert [event.attributes[HELD_BACK] for event in slow_events(telemetry)] == [0, 1]


@pytest.mark.parametrize("sharing", [True, False])
def test_the_end_of_the_program_emits_it(server: RedisServer, sharing: bool) -> None:
    """When a program ends before the interval does, the event is exported and the line is logged before it exits."""
    settings = {
        "slow_alert_ms": 15.0,
        "slow_interval_s": 1000.0,
        "server_probe": False,
        "host_sharing": sharing,
    }
    program = PROGRAM.replace("SETTINGS", repr(settings))
    done = subprocess.run(
        [sys.executable, "-c", program, server.url], capture_output=True, text=True, timeout=60, check=True
    )
    assert [line for line in done.stdout.splitlines() if line.startswith("EVENT")].count("EVENT 2") == 1
    assert len([line for line in done.stderr.splitlines() if line.endswith("2 like it since the last line")]) == 1
