"""A program's secrets do not leave it, and a missing Collector does not slow it down."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from redispan.monitoring.fleet import fleet_report, prometheus
from stack.native.clients import get_json
from stack.native.programs import eventually
from stack.native.stack import Stack
from waiting import PATIENCE_S
from zero_code import Launcher

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

PROGRAMS = Path(__file__).parent / "programs"
SECRET = "sesame4711hunter"
GETS = 4000
assert GETS > 2048, "what the SDK's queue holds"


def test_a_planted_secret_is_found_nowhere(stack: Stack) -> None:
    """A secret in every command that the server knows is in no span, metric, exemplar, event or log line anywhere."""
    launcher = Launcher(
        stack.program_environment() | {"OTEL_SERVICE_NAME": "secretive", "PLANTED_SECRET": SECRET}, folder=PROGRAMS
    )
    finished = launcher.run("planted_secrets.py")
    assert finished.code == 0, finished.all
    assert int(re.search(r"(\d+) commands", finished.out).group(1)) > 200  # type: ignore[union-attr]

    def arrived() -> str:
        texts = json.dumps(stack.jaeger.raw("secretive"))
        wanted = ("SET", "EVAL", "AUTH", "MIGRATE", "XADD", "PUBLISH", "ZUNIONSTORE", "SMISMEMBER")
        return texts if all(f'"{name} 127.0.0.1' in texts for name in wanted) else ""

    held = {"jaeger": eventually(arrived, what="the program's spans")}
    eventually(lambda: stack.prometheus.query('{job="secretive"}'), what="the program's metrics")
    held["prometheus"] = stack.prometheus.everything()
    held["exemplars"] = json.dumps(stack.prometheus.exemplars('{job="secretive"}'))
    held["alertmanager"] = json.dumps(stack.alertmanager.alerts())
    for path in (stack.folder / "out").glob("*.jsonl"):
        held[path.name] = path.read_text()
    held["the Collector's log"] = stack.programs["otelcol"].log()
    held["the program's own"] = finished.err
    assert "secretive" in held["logs.jsonl"] + held["traces.jsonl"]
    assert [where for where, text in held.items() if SECRET in text or SECRET.upper() in text] == []


def test_a_missing_collector_is_not_waited_for(stack: Stack) -> None:
    """While a Collector leaves the first export unanswered, the program completes more GETs than any queue holds."""
    with socket.create_server(("127.0.0.1", 0)) as collector:
        collector.settimeout(PATIENCE_S)
        # If the export ended unsuccessfully, that would hide that the GETs had waited for it.
        silent = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.getsockname()[1]}"}
        launcher = Launcher(
            stack.program_environment() | silent | {"OTEL_EXPORTER_OTLP_TIMEOUT": "3600"}, folder=PROGRAMS
        )
        with launcher.talking("gets.py", GETS) as program:
            assert program.hear() == "first"
            connection, _ = collector.accept()
            with connection:
                program.say("go on")
                assert program.hear() == "done"


def test_fleet_report_reads_the_real_thing(stack: Stack) -> None:
    """`redispan report fleet` finds the stack's programs and server in the real Prometheus."""
    launcher = Launcher(stack.program_environment() | {"OTEL_SERVICE_NAME": "getting"}, folder=PROGRAMS)
    with launcher.talking("gets.py", GETS) as program:
        program.say("go on")
        assert program.process.wait(PATIENCE_S) == 0

    def reported() -> bool:
        report = fleet_report(prometheus(stack.prometheus.url))
        return any(service.name == "getting" and service.p95_ms for service in report.services) and bool(report.servers)

    eventually(reported, what="the program in the fleet report")
    done = subprocess.run(
        [sys.executable, "-m", "redispan.monitoring.fleet", "--prometheus", stack.prometheus.url],
        check=True, text=True, capture_output=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert "getting" in done.stdout
    assert f"server 127.0.0.1:{stack.ports['redis']}" in done.stdout


def test_the_stack_is_healthy_afterwards(stack: Stack) -> None:
    """Every program of the stack still runs after these tests."""
    assert all(program.running for program in stack.programs.values())
    assert get_json(f"{stack.prometheus.url}/api/v1/status/buildinfo")["status"] == "success"
