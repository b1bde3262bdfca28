"""Servers with several processes: the telemetry of all processes is exactly what was sent, inside the right traces."""

import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.reading import OURS, instances, measurements_by_operation, operation_of, spans_by_operation
from servers.otlp_receiver import OtlpReceiver
from servers.redis_server import RedisServer
from zero_code import UVICORN_FLAGS, Launcher, fetch, free_port, wait_until_served

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PURCHASES = 60


def buy_much(port: int) -> set[str]:
    """Send the purchases side by side and return the ids of the processes that served them."""
    with ThreadPoolExecutor(8) as customers:
        return set(customers.map(lambda number: fetch(f"http://127.0.0.1:{port}/buy/{number}"), range(PURCHASES)))


def wait_for_counts(receiver: OtlpReceiver, expected: Counter[str]) -> None:
    """Wait until the receiver has at least what was sent. The tests then check that it has no more."""
    receiver.wait_for(lambda r: spans_by_operation(r) >= expected, "spans")
    receiver.wait_for(lambda r: measurements_by_operation(r) >= expected, "measurements")


def assert_inside_requests(receiver: OtlpReceiver) -> None:
    """Check that the parent of every redispan span is a span of another scope in the same trace."""
    others = {(span.trace_id, span.span_id) for span in receiver.spans() if span.scope != OURS}
    orphans = [span for span in receiver.spans(scope=OURS) if (span.trace_id, span.parent_span_id) not in others]
    assert orphans == []


def gunicorn(port: int, *options: str) -> tuple[object, ...]:
    """Build the command of a gunicorn of four workers."""
    place = f"127.0.0.1:{port}"
    return ("gunicorn", "--no-control-socket", "--workers", "4", "--bind", place, "--graceful-timeout", "10", *options)


@pytest.mark.parametrize("preload", [False, True], ids=["no preload", "preload"])
def test_gunicorn_prefork(
    preload: bool,
    framework_launcher: Launcher,
    otlp_receiver: OtlpReceiver,
    redis_server: RedisServer,
    tmp_path: Path,
) -> None:
    """Over four workers counts are exact and every span is in its request.

    Each worker is an instance, and the master emits nothing.
    """
    port = free_port()
    command = gunicorn(port, *(["--preload"] if preload else []), "shop_django:application")
    sent = Counter({"INCRBY": PURCHASES, "GET": PURCHASES, "PIPELINE HSET": PURCHASES})
    # The Django instrumentation reads these settings before the program starts.
    variables = {"DJANGO_SETTINGS_MODULE": "shop_django_settings"}
    with framework_launcher.running(tmp_path / "log", *command, variables=variables) as process:
        wait_until_served(f"http://127.0.0.1:{port}/ready", process)
        workers = buy_much(port)
        wait_for_counts(otlp_receiver, sent)
    assert len(workers) > 1, "the test needs more than one worker at work"
    assert spans_by_operation(otlp_receiver) == measurements_by_operation(otlp_receiver) == sent
    assert redis_server.commands_served()["incrby"] == PURCHASES
    assert len(instances(otlp_receiver)) == len(workers)
    assert_inside_requests(otlp_receiver)
    assert str(process.pid) not in workers


def test_uvicorn_with_two_workers(
    framework_launcher: Launcher, otlp_receiver: OtlpReceiver, redis_server: RedisServer, tmp_path: Path
) -> None:
    """With FastAPI on asyncio, counts are exact over two spawned workers. Concurrent tasks keep their own parents."""
    port = free_port()
    command = ("uvicorn", "shop_fastapi:app", "--workers", "2", "--port", str(port), *UVICORN_FLAGS)
    sent = Counter({"INCRBY": PURCHASES, "GET": PURCHASES, "PIPELINE HSET": PURCHASES})
    with framework_launcher.running(tmp_path / "log", *command) as process:
        wait_until_served(f"http://127.0.0.1:{port}/ready", process)
        workers = buy_much(port)
        wait_for_counts(otlp_receiver, sent)
    assert spans_by_operation(otlp_receiver) == measurements_by_operation(otlp_receiver) == sent
    assert redis_server.commands_served()["incrby"] == PURCHASES
    assert len(instances(otlp_receiver)) == len(workers)
    assert_inside_requests(otlp_receiver)
    per_trace = Counter((span.trace_id, operation_of(span)) for span in otlp_receiver.spans(scope=OURS))
    assert set(per_trace.values()) == {1}, "each request holds one of each"


def test_celery_prefork(
    framework_launcher: Launcher, otlp_receiver: OtlpReceiver, redis_server: RedisServer, tmp_path: Path
) -> None:
    """redispan counts the tasks' operations exactly, inside their tasks' traces, whatever else the broker does."""
    command = (sys.executable, "-m", "celery", "-A", "shop_celery", "worker", "--pool", "prefork", "-c", "2",
               "--without-gossip", "--without-mingle", "--without-heartbeat")  # fmt: skip
    sent = Counter({"INCRBY": PURCHASES, "HGET": PURCHASES})
    with framework_launcher.running(tmp_path / "log", *command):
        producer = framework_launcher.run("shop_celery.py", PURCHASES)
        assert producer.code == 0, producer.all
        wait_for_counts(otlp_receiver, sent)
    spans, measured = spans_by_operation(otlp_receiver), measurements_by_operation(otlp_receiver)
    assert {name: spans[name] for name in sent} == {name: measured[name] for name in sent} == dict(sent)
    assert redis_server.commands_served()["incrby"] == PURCHASES
    tasks = {span.span_id: span for span in otlp_receiver.spans("run/buy")}
    assert len(tasks) == PURCHASES
    for span in otlp_receiver.spans(scope=OURS):
        if operation_of(span) in sent:
            assert tasks[span.parent_span_id].trace_id == span.trace_id


@pytest.mark.skipif(sys.platform != "linux", reason="gevent is tried where it is installed for the tests")
def test_gevent_worker(
    framework_launcher: Launcher, otlp_receiver: OtlpReceiver, redis_server: RedisServer, tmp_path: Path
) -> None:
    """With gevent workers, patched early as OpenTelemetry advises, counts are exact and each span is in its request."""
    port = free_port()
    command = gunicorn(port, "--worker-class", "gevent", "shop_django:application")
    sent = Counter({"INCRBY": PURCHASES, "GET": PURCHASES, "PIPELINE HSET": PURCHASES})
    variables = {
        "DJANGO_SETTINGS_MODULE": "shop_django_settings",
        "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": "patch_all",
    }
    with framework_launcher.running(tmp_path / "log", *command, variables=variables) as process:
        wait_until_served(f"http://127.0.0.1:{port}/ready", process)
        buy_much(port)
        wait_for_counts(otlp_receiver, sent)
    assert spans_by_operation(otlp_receiver) == measurements_by_operation(otlp_receiver) == sent
    assert_inside_requests(otlp_receiver)
    assert os.getpid() != process.pid
