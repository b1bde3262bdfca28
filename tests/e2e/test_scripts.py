"""A sync and an asyncio script without telemetry code: redispan records everything and does not change the script."""

from collections import Counter

import pytest

from e2e.reading import DURATION, OURS, instances, measurements_by_operation, spans_by_operation
from servers.otlp_receiver import OtlpReceiver
from servers.redis_server import RedisServer
from zero_code import Launcher, free_port

pytestmark = pytest.mark.e2e

SENT = {
    "shop_sync.py": Counter({"SET": 21, "GET": 21, "PIPELINE INCRBY": 1, "MULTI": 1, "RPUSH": 1}),
    "shop_async.py": Counter({"SET": 21, "GET": 20, "MULTI": 1, "RPUSH": 1}),
}


@pytest.mark.parametrize("program", SENT)
def test_every_operation_of_a_script_is_a_span_and_a_measurement(
    program: str, launcher: Launcher, otlp_receiver: OtlpReceiver, redis_server: RedisServer
) -> None:
    """Spans and histogram counts equal what the server ran, and the program's result is as without redispan."""
    alone = launcher.run(program, instrumented=False)
    redis_server.clean()
    watched = launcher.run(program)
    served = redis_server.commands_served()

    assert (watched.code, watched.out) == (alone.code, alone.out) == (0, alone.out)
    assert watched.err == "", "an ordinary start says nothing"
    assert spans_by_operation(otlp_receiver) == SENT[program]
    assert measurements_by_operation(otlp_receiver) == SENT[program]
    assert {name: served[name.lower()] for name in ("SET", "GET")} == {n: SENT[program][n] for n in ("SET", "GET")}
    assert len(instances(otlp_receiver)) == 1


@pytest.mark.parametrize("program", SENT)
def test_a_span_says_where_and_what_and_a_failure_why(
    program: str, launcher: Launcher, otlp_receiver: OtlpReceiver, redis_server: RedisServer
) -> None:
    """The exported bytes contain the convention names and the failure's prefix, and no key, value or message."""
    launcher.run(program)
    (failed,) = [span for span in otlp_receiver.spans(scope=OURS) if span.status == "ERROR"]

    assert failed.name == f"RPUSH {redis_server.host}:{redis_server.port}"
    assert failed.kind == "CLIENT"
    assert failed.attributes["error.type"] == failed.attributes["db.response.status_code"] == "WRONGTYPE"
    assert failed.attributes["db.query.text"] == "RPUSH ? ?"
    assert failed.attributes["server.port"] == redis_server.port
    failures = [p for p in otlp_receiver.points(DURATION) if p.attributes.get("error.type") == "WRONGTYPE"]
    assert [point.count for point in failures] == [1]
    assert [event.span_id for event in otlp_receiver.logs("db.client.operation.exception")] == [failed.span_id]
    for secret in (b"order:", b"sold:", b"not a list"):
        assert secret not in otlp_receiver.raw_bytes()


def test_without_a_receiver_nothing_changes(launcher: Launcher, redis_server: RedisServer) -> None:
    """Without a receiver at the endpoint, the program prints the same and ends with the same code."""
    alone = launcher.run("shop_sync.py", instrumented=False)
    redis_server.clean()
    nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    watched = launcher.run("shop_sync.py", variables=nobody)
    assert (watched.code, watched.out) == (alone.code, alone.out) == (0, alone.out)


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
def test_a_server_that_dies_gives_the_program_the_same_exceptions(kind: str, launcher: Launcher) -> None:
    """When Redis is killed, exception types, messages, causes and exit code are the same as without redispan."""
    alone = launcher.run("server_dies.py", kind, instrumented=False)
    watched = launcher.run("server_dies.py", kind)
    assert "ConnectionError" in alone.out
    assert alone.code == 3
    assert (watched.code, watched.out) == (alone.code, alone.out)


def test_the_failures_of_a_dead_server_are_seen(launcher: Launcher, otlp_receiver: OtlpReceiver) -> None:
    """Operations that met a dead server are spans with an error type, and measurements with an error type."""
    launcher.run("server_dies.py", "sync")
    failed = [span for span in otlp_receiver.spans(scope=OURS) if span.status == "ERROR"]
    counted = sum(p.count for p in otlp_receiver.points(DURATION) if "error.type" in p.attributes)
    assert len(failed) == counted == 4
    assert {span.attributes["error.type"] for span in failed} == {"redis.exceptions.ConnectionError"}
