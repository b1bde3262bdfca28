"""Running the demo's program under the real ``opentelemetry-instrument``, and the steps that it logs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redispan.cli.otlp_inbox import Inbox

PROGRAM = "redispan.cli.demo_program"
PROGRAM_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Step:
    """One step that the program logged, with its start in nanoseconds since 1970."""

    name: str
    start_ns: int


@dataclass(frozen=True)
class Outcome:
    """The exit code of the program, its steps, and its output."""

    exit_code: int
    steps: tuple[Step, ...]
    output: str


def run_program(url: str, inbox: Inbox, environ: Mapping[str, str]) -> Outcome:
    """Run the program to its end under the real ``opentelemetry-instrument``.

    Args:
        url: The URL of the Redis that the program uses.
        inbox: The receiver of the telemetry.
        environ: The environment of the caller.
    """
    with tempfile.TemporaryDirectory(prefix="redispan-demo-") as folder:
        done = subprocess.run(  # noqa: S603 - redispan's own program, without a shell
            [*_instrument_command(), sys.executable, "-m", PROGRAM, url],
            # An empty folder, because -m would import a redis.py from the user's current folder.
            cwd=folder,
            env=program_environment(environ, inbox.endpoint),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
        )
    return Outcome(done.returncode, read_steps(done.stdout), done.stdout)


def program_environment(environ: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """Return the environment of the demo program.

    Of the caller's ``OTEL_`` variables it keeps redispan's settings, the service name and the resource attributes. All
    telemetry goes to ``endpoint`` over OTLP/HTTP.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("OTEL_") or name.startswith("OTEL_PYTHON_REDISPAN_")
    }
    return kept | {
        "OTEL_SERVICE_NAME": environ.get("OTEL_SERVICE_NAME", "redispan-demo"),
        "OTEL_RESOURCE_ATTRIBUTES": environ.get("OTEL_RESOURCE_ATTRIBUTES", ""),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        # redispan takes over from contrib anyway. Without contrib, no "already instrumented" warning is logged.
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis",
    }


def read_steps(output: str) -> tuple[Step, ...]:
    """Return the steps in the program's log, whose lines begin with the time in seconds since 1970."""
    found = []
    for line in output.splitlines():
        stamp, _, rest = line.partition(" shop: ")
        if rest and stamp.replace(".", "", 1).isdigit():
            found.append(Step(rest.strip(), int(float(stamp) * 1e9)))
    return tuple(found)


def _instrument_command() -> list[str]:
    beside = Path(sys.executable).with_name("opentelemetry-instrument")
    if beside.exists():
        return [str(beside)]
    call = "import sys; from opentelemetry.instrumentation.auto_instrumentation import run; sys.exit(run())"
    return [sys.executable, "-c", call]
