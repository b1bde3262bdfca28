"""State alerts, caused by real faults: each fires once, clears once, and is emitted through every channel."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from redispan import RedispanInstrumentor, Settings, on_alert
from redispan._core.records import ServerReading
from redispan._runtime.runtime import current
from redispan.testing import TelemetryInMemory
from servers.redis_server import RedisServer
from waiting import PATIENCE_S

pytestmark = pytest.mark.redis

Later = Callable[[float], None]

REDIS_VERSION = tuple(int(part) for part in redis.__version__.split(".")[:2])


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Return a function that lets time pass for the alerts without waiting.

    After its first call, only it moves that time.
    """
    now_ns = 0
    monkeypatch.setattr(current().alerting, "evaluated_ns", 0)  # so that monkeypatch restores it at the end

    def let_pass(seconds: float) -> None:
        nonlocal now_ns
        now_ns = (now_ns or time.perf_counter_ns()) + int(seconds * 1e9)
        current().alerting.evaluated_ns = 0
        current().evaluate(now_ns)
        # otherwise an operation that finishes would evaluate the alerts by the real clock
        current().alerting.evaluated_ns = 2**62

    return let_pass


def instrument(telemetry: TelemetryInMemory, **settings: Any) -> None:
    """Instrument with the alerts and log lines for slow operations off."""
    chosen = {"slow_alert_ms": 0.0, "slow_log_ms": 0.0, **settings}
    RedispanInstrumentor().instrument(settings=Settings(**chosen), **telemetry.providers)


def states(telemetry: TelemetryInMemory, name: str) -> list[str]:
    """Return the states that the events of an alert carry, in order."""
    return [event.attributes["redis.client.alert.state"] for event in telemetry.events(f"redis.client.alert.{name}")]


def test_real_errors_fire_once_and_clear_once(
    telemetry: TelemetryInMemory, redis_url: str, later: Later, caplog: pytest.LogCaptureFixture
) -> None:
    """WRONGTYPE on every second call fires the alert error_rate. It clears after the calls succeed for a while."""
    instrument(telemetry)
    recorded: list[Any] = []
    unsubscribe = on_alert(recorded.append)
    with redis.Redis.from_url(redis_url) as client:
        client.set("text", "x")
        for _ in range(20):
            client.get("text")
            with pytest.raises(redis.ResponseError):
                client.lpush("text", "y")
        later(2)
        later(2)
        assert states(telemetry, "error_rate") == ["fired"]
        name = {"redis.client.alert.name": "error_rate"}
        assert telemetry.value("redis.client.alert.state", name) == 1
        for _ in range(1000):
            client.get("text")
        later(2)
        later(29)
        assert states(telemetry, "error_rate") == ["fired"]
        later(2)
        later(2)
    unsubscribe()
    assert states(telemetry, "error_rate") == ["fired", "cleared"]
    assert telemetry.value("redis.client.alert.state", name) == 0
    assert telemetry.value("redis.client.alerts", name) == 1
    assert [alert.state for alert in recorded] == ["fired", "cleared"]
    lines = [record for record in caplog.records if record.name == "redispan.alerts"]
    assert lines[0].levelno == logging.ERROR
    fired = telemetry.events("redis.client.alert.error_rate")[0]
    assert fired.attributes["redis.client.alert.threshold"] == 0.05
    assert 0.4 < fired.attributes["redis.client.alert.value"] <= 0.5
    assert "text" not in str(dict(fired.attributes))


def test_flow_control_and_healed_retries_are_no_errors(
    telemetry: TelemetryInMemory, redis_server: RedisServer, later: Later
) -> None:
    """Lost optimistic locks and connections that a retry replaced are normal, so they fire no error_rate alert."""
    instrument(telemetry)
    with redis.Redis.from_url(redis_server.url) as client, redis.Redis.from_url(redis_server.url) as other:
        for _ in range(20):
            with client.pipeline() as pipe:
                pipe.watch("seat")
                other.incr("seat")
                pipe.multi()
                pipe.get("seat")
                with pytest.raises(redis.WatchError):
                    pipe.execute()
        for _ in range(5):
            redis_server.kill_clients()
            client.get("seat")
    later(2)
    assert not states(telemetry, "error_rate")
    answers = [found["answers"] for found in current().snapshot()["endpoints"].values()]
    totals = [figures for found in answers for figures in found["totals"].values()]
    assert sum(figures[0] for figures in totals) >= 65
    assert sum(figures[1] for figures in totals) == 0


def test_an_exhausted_pool_fires(telemetry: TelemetryInMemory, redis_url: str, later: Later) -> None:
    """The alert pool_usage fires when all connections of a real pool are in use. It clears once they are returned."""
    instrument(telemetry)
    client = redis.Redis(connection_pool=redis.ConnectionPool.from_url(redis_url, max_connections=2))
    client.ping()
    arguments = () if REDIS_VERSION >= (5, 3) else ("_",)
    held = [client.connection_pool.get_connection(*arguments) for _ in range(2)]
    later(2)
    later(2)
    assert states(telemetry, "pool_usage") == ["fired"]
    for connection in held:
        client.connection_pool.release(connection)
    later(2)
    later(31)
    client.close()
    assert states(telemetry, "pool_usage") == ["fired", "cleared"]


def test_a_full_server_fires(
    telemetry: TelemetryInMemory,
    new_redis_server: Callable[..., RedisServer],
    later: Later,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The alert memory_usage fires for a small server that is really filled, and clears once it is emptied.

    The test reads the memory as a probe does.
    """
    server = new_redis_server(maxmemory="4mb")

    def probe() -> list[ServerReading]:
        memory = server.info("memory")
        return [
            ServerReading(
                endpoint=f"{server.host}:{server.port}",
                at_unix_ns=1,
                address=server.host,
                port=server.port,
                used_memory_bytes=int(memory["used_memory"]),
                max_memory_bytes=int(memory["maxmemory"]),
            )
        ]

    instrument(telemetry)
    monkeypatch.setattr(current().figures, "servers", probe)
    monkeypatch.setattr(current().alerting, "judged_servers", probe)
    with redis.Redis.from_url(server.url) as client:
        later(2)
        assert not states(telemetry, "memory_usage")
        for number in range(100):
            try:
                client.set(f"k{number}", "x" * 40_000)
            except redis.ResponseError:
                break
        later(2)
        later(2)
        assert states(telemetry, "memory_usage") == ["fired"]
        client.flushall()
        later(2)
        later(31)
    assert states(telemetry, "memory_usage") == ["fired", "cleared"]


def test_an_alert_clears_without_operations(telemetry: TelemetryInMemory, redis_url: str, later: Later) -> None:
    """Collecting metrics evaluates the alerts too, so an alert of a program that went quiet does not fire for ever."""
    instrument(telemetry)
    with redis.Redis.from_url(redis_url) as client:
        client.set("text", "x")
        for _ in range(30):
            with pytest.raises(redis.ResponseError):
                client.lpush("text", "y")
    later(2)
    assert states(telemetry, "error_rate") == ["fired"]
    current().alerting.evaluated_ns = 0
    assert telemetry.value("redis.client.alert.state", {"redis.client.alert.name": "error_rate"}) == 1
    later(400)
    later(400)
    assert states(telemetry, "error_rate") == ["fired", "cleared"]


def test_nothing_fires_once_uninstrumented(telemetry: TelemetryInMemory, redis_url: str, later: Later) -> None:
    """After uninstrumenting, no alert stays active: the gauge falls to 0, and health reports list nothing as firing."""
    instrument(telemetry)
    with redis.Redis.from_url(redis_url) as client:
        client.set("text", "x")
        for _ in range(30):
            with pytest.raises(redis.ResponseError):
                client.lpush("text", "y")
    later(2)
    assert current().snapshot()["alerts"]["firing"]
    RedispanInstrumentor().uninstrument()
    assert not current().snapshot()["alerts"]["firing"]
    assert telemetry.value("redis.client.alert.state") == 0


def test_a_callback_that_raises_harms_nobody(
    telemetry: TelemetryInMemory, redis_url: str, later: Later, caplog: pytest.LogCaptureFixture
) -> None:
    """When one callback raises, redispan calls the others and emits the event, and the program's call succeeds."""
    instrument(telemetry)
    recorded: list[Any] = []
    taking_off = [on_alert(lambda _: 1 / 0), on_alert(recorded.append)]
    with redis.Redis.from_url(redis_url) as client:
        client.set("text", "x")
        for _ in range(30):
            with pytest.raises(redis.ResponseError):
                client.lpush("text", "y")
    later(2)
    for unsubscribe in taking_off:
        unsubscribe()
    assert len(recorded) == 1
    assert states(telemetry, "error_rate") == ["fired"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_from_nothing(telemetry: TelemetryInMemory, redis_url: str) -> None:
    """A forked child reports its own operations and not its parent's. A lock that the parent held does not block it."""
    import os

    instrument(telemetry)
    with redis.Redis.from_url(redis_url) as client:
        client.set("text", "x")
        stop = threading.Event()
        busy = threading.Thread(target=lambda: [current().snapshot() for _ in iter(stop.is_set, True)])
        busy.start()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                before = len(current().snapshot()["endpoints"])
                with redis.Redis.from_url(redis_url) as own:
                    own.get("text")
                (endpoint,) = current().snapshot()["endpoints"].values()
                os.write(write, f"{before} {sorted(endpoint['answers']['totals'])}".encode())
            finally:
                os._exit(0)
        stop.set()
        busy.join()
        os.close(write)
        os.waitpid(pid, 0)
        assert os.read(read, 1000).decode() == "0 ['GET']"
        os.close(read)


def test_a_webhook_is_emitted(telemetry: TelemetryInMemory, redis_url: str, later: Later) -> None:
    """redispan posts a real alert to the webhook URL that is set. The post is no operation and has no span."""
    import json
    from http.server import BaseHTTPRequestHandler, HTTPServer

    arrived = threading.Event()
    posted: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: Any) -> None:
            pass

    receiver = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        url = f"http://127.0.0.1:{receiver.server_address[1]}/api/v2/alerts"
        instrument(telemetry, alert_webhook=url, alert_webhook_format="alertmanager")
        with redis.Redis.from_url(redis_url) as client:
            client.set("text", "x")
            for _ in range(30):
                with pytest.raises(redis.ResponseError):
                    client.lpush("text", "y")
        later(2)
        assert arrived.wait(PATIENCE_S)
        RedispanInstrumentor().uninstrument()
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()
    assert [found["labels"]["alertname"] for found in posted] == ["redispan_error_rate"]
