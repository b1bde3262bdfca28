"""Greenlets that use the tuned pool wait for each other, always end, and get a connection."""

import importlib.util

import pytest

from e2e.reading import measurements_by_operation, spans_by_operation
from servers.otlp_receiver import OtlpReceiver
from servers.redis_server import RedisServer
from zero_code import Launcher

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(importlib.util.find_spec("gevent") is None, reason="needs gevent (make dev brings it)"),
]

# Even on a busy machine, no greenlet may stop waiting and open a connection beyond the limit.
PATIENT = {"OTEL_PYTHON_REDISPAN_POOL_WAIT_S": "30"}
EARLY = PATIENT | {"OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": "patch_all"}
# SDK threads that start before gevent patches their locks may wait for ever, also at the program's end. This happens
# with and without redispan. So the SDK has no such threads here, and redispan's self-metrics show what it recorded.
LATE = PATIENT | {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


@pytest.mark.parametrize("patched", ["early", "late"])
def test_two_hundred_greenlets_share_fifty_connections(
    patched: str, launcher: Launcher, otlp_receiver: OtlpReceiver, redis_server: RedisServer
) -> None:
    """No greenlet fails, at most 50 connections are open, and blocking reads outlive 2 s.

    redispan records everything.
    """
    done = launcher.run("greenlets.py", patched, variables=EARLY if patched == "early" else LATE)
    assert done.code == 0, done.all
    said = dict(line.split(" ", 1) for line in done.out.splitlines())
    assert said["failed"] == "0 []"
    assert said["sum"] == "2000"
    assert int(said["connections"]) <= 50
    assert said["waits"] == "True 0", "the others waited; a greenlet that holds a connection doesn't wait for another"
    assert said["woken"] == "True"
    if patched == "early":
        spans, measured = spans_by_operation(otlp_receiver), measurements_by_operation(otlp_receiver)
        assert spans["INCRBY"] == measured["INCRBY"] == 2000
        assert spans["BLPOP"] == measured["BLPOP"] == 20
    else:
        assert said["recorded"] == "2000 20"
    served = redis_server.commands_served()
    assert (served["incrby"], served["blpop"]) == (2000, 20)
