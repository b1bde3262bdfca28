"""What a program must never notice: its secrets stay at home, and a missing Collector costs it nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from redispan.monitoring.fleet import fleet_report, prometheus
from stack.native.clients import get_json
from stack.native.programs import Program, eventually, free_ports
from stack.native.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

PROGRAMS = Path(__file__).parent / "programs"
STARTER = Path(sys.executable).parent / "opentelemetry-instrument"
SECRET = "sesame4711hunter"
CALLS = 4000


def test_a_planted_secret_is_found_nowhere(stack: Stack) -> None:
    """A secret in every command that the server knows is in no span, metric, exemplar, event or log line anywhere."""
    environment = stack.program_environment() | {"OTEL_SERVICE_NAME": "secretive", "PLANTED_SECRET": SECRET}
    program = Program(
        "secretive", [STARTER, sys.executable, PROGRAMS / "planted_secrets.py", "3"], stack.folder, environment
    )
    assert program.start().wait(60) == 0, program.log()
    assert int(re.search(r"(\d+) commands", program.log()).group(1)) > 200  # type: ignore[union-attr]

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
    assert "secretive" in held["logs.jsonl"] + held["traces.jsonl"]
    assert [where for where, text in held.items() if SECRET in text or SECRET.upper() in text] == []


def gets(stack: Stack, endpoint: str) -> tuple[float, float]:
    """Median and 99th percentile of GET, in microseconds, of a program that sends to the endpoint."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        **stack.program_environment(),
        "OTEL_SERVICE_NAME": "timed",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        # At its end the SDK tries once more to deliver each signal; that is not what is timed.
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    done = subprocess.run(
        [STARTER, sys.executable, PROGRAMS / "timed_gets.py", str(CALLS)],
        check=True, env=environment, text=True, capture_output=True, timeout=100,
    )  # fmt: skip
    median_us, p99_us = (float(figure) for figure in done.stdout.split()[-2:])
    return median_us, p99_us


def test_a_missing_collector_is_not_felt(stack: Stack) -> None:
    """With nobody at the endpoint a GET takes as long as with the Collector there; measured, with room for noise."""
    (nobody,) = free_ports(1)
    present = stack.program_environment()["OTEL_EXPORTER_OTLP_ENDPOINT"]
    with_collector = [gets(stack, present) for _ in range(2)]
    without = [gets(stack, f"http://127.0.0.1:{nobody}") for _ in range(2)]
    print(f"GET with Collector {min(with_collector)} us, without {min(without)} us (median, p99)")
    assert min(without)[0] < 1.5 * min(with_collector)[0] + 100


def test_fleet_report_reads_the_real_thing(stack: Stack) -> None:
    """`redispan report fleet` finds the stack's programs and server in the real Prometheus."""
    gets(stack, stack.program_environment()["OTEL_EXPORTER_OTLP_ENDPOINT"])

    def reported() -> bool:
        report = fleet_report(prometheus(stack.prometheus.url))
        return any(service.name == "timed" and service.p95_ms for service in report.services) and bool(report.servers)

    eventually(reported, what="the program in the fleet report")
    done = subprocess.run(
        [sys.executable, "-m", "redispan.monitoring.fleet", "--prometheus", stack.prometheus.url],
        check=True, text=True, capture_output=True, timeout=30,
    )  # fmt: skip
    assert "timed" in done.stdout
    assert f"server 127.0.0.1:{stack.ports['redis']}" in done.stdout


def test_the_stack_is_healthy_afterwards(stack: Stack) -> None:
    """None of this has brought anything down."""
    assert all(program.running for program in stack.programs.values())
    assert get_json(f"{stack.prometheus.url}/api/v1/status/buildinfo")["status"] == "success"
