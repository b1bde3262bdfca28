"""`redispan report fleet` works with any backend that supports PromQL, and reports a server that is gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.native.collector import Collector
from stack.native.programs import Program, eventually
from stack.native.stack import Stack, Tools
from waiting import PATIENCE_S
from zero_code import BIN, Launcher, free_port

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

PROGRAM = Path(__file__).parent / "programs" / "steady.py"


def report(url: str) -> dict[str, Any]:
    """Return the command's output as data."""
    done = subprocess.run(
        [BIN / "redispan", "report", "fleet", "--prometheus", url, "--json", "--window", "30s"],
        check=True, text=True, capture_output=True, timeout=PATIENCE_S,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


@pytest.fixture
def victoriametrics(tools: Tools, tmp_path: Path) -> Iterator[str]:
    """Start a backend that is not Prometheus and supports PromQL."""
    port = free_port()
    command = [
        tools["victoriametrics"], "-storageDataPath", tmp_path / "vm", f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=1s", "-search.disableCache",  # by default it waits half a minute for late samples
    ]  # fmt: skip
    program = Program("victoriametrics", command, tmp_path).start(f"http://127.0.0.1:{port}/health")
    yield f"http://127.0.0.1:{port}"
    program.kill()


def test_two_programs_and_their_server_in_another_backend(tools: Tools, victoriametrics: str, tmp_path: Path) -> None:
    """Two processes of a service send by remote write.

    The report has rates, percentiles, pools and the server, and later that the server is gone.
    """
    stack = Stack(tools, tmp_path)
    address = {
        "PROMETHEUS_REMOTE_WRITE_ENDPOINT": f"{victoriametrics}/api/v1/write",
        "REDIS_ENDPOINT": f"127.0.0.1:{stack.ports['redis']}",
        "REDIS_COLLECTION_INTERVAL": "1s",
    }
    server = f"127.0.0.1:{stack.ports['redis']}"
    environment = stack.program_environment() | {"OTEL_SERVICE_NAME": "steady", "REDIS_URL": stack.redis_url}
    environment |= {"OTEL_PYTHON_REDISPAN_SERVER_PROBE_INTERVAL_S": "1"}
    with stack, Collector(tools, tmp_path, ["backends/prometheus-remote-write"], address) as collector:
        redis = stack.start_redis()
        launcher = Launcher(environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.grpc_address}"})
        command, environment = launcher.command(launcher.python, PROGRAM), launcher.environment()
        programs = [Program(f"steady{number}", command, tmp_path, environment).start() for number in range(2)]
        try:

            def complete() -> dict[str, Any]:
                found = report(victoriametrics)
                (service,) = found["services"]
                (asked,) = found["servers"]
                figures = ("operations_per_s", "p50_ms", "p99_ms", "within_100ms", "fullest_pool", "error_share")
                known = all(service[figure] is not None for figure in figures) and service["processes"] == 2
                return found if known and asked["memory_bytes"] and asked["reached"] == 1 else {}

            found = eventually(complete, what="the whole report", pause_s=0.5)
            assert found["services"][0]["name"] == "steady"
            assert found["services"][0]["operations_per_s"] > 1
            assert found["servers"][0]["name"] == server
            redis.kill()

            def gone() -> list[str]:
                texts = [finding["text"] for finding in report(victoriametrics)["findings"]]
                return [text for text in texts if text.startswith(f"server {server} answers none")]

            eventually(gone, what="the finding about the server", pause_s=0.5)
        finally:
            for program in programs:
                program.kill()
