"""Run a small shop under opentelemetry-instrument, with a throw-away Redis, and show the telemetry that it sends."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redispan.testing.embedded_server import EmbeddedServer, ServerNotFoundError, ServerNotStartedError

if TYPE_CHECKING:
    from redispan.cli.otlp_inbox import Inbox

HELP = "see it work: an ordinary program, its spans, metrics and alerts, in ten seconds"

PROGRAM = "redispan.cli.demo_program"
PROGRAM_TIMEOUT_S = 60.0

_NEEDED = {"rich": "rich", "redis": "redis", "opentelemetry.sdk": "SDK", "opentelemetry.proto": "OTLP exporter"}


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``redispan demo``."""
    parser.add_argument(
        "--redis-url",
        help="use this Redis instead of a throw-away one; touches keys below redispan-demo: only",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also save what is shown as a picture")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and show it; return 0 if the program ran and its telemetry arrived, else 1."""
    missing = [name for module, name in _NEEDED.items() if not _is_there(module)]
    if missing:
        message = f'redispan demo: missing: {", ".join(missing)}. Install: pip install "redispan[demo]"'
        print(message, file=sys.stderr)
        return 1
    try:
        with _server(arguments.redis_url) as url:
            return _show(url, arguments.svg)
    except (ServerNotFoundError, ServerNotStartedError) as error:
        print(f"redispan demo: {error}", file=sys.stderr)
        return 1


def _show(url: str, svg: Path | None) -> int:
    from redispan.cli.demo_screen import Screen
    from redispan.cli.otlp_inbox import Inbox

    screen = Screen()
    began = time.monotonic()
    with Inbox() as inbox:
        with screen.waiting(f"opentelemetry-instrument python -m {PROGRAM}"):
            outcome = run_program(url, inbox, os.environ)
        if outcome.exit_code != 0:
            print(f"redispan demo: the program failed:\n{outcome.output}", file=sys.stderr)
            return 1
        screen.show(outcome.steps, inbox, seconds=time.monotonic() - began, sent_on=_send_on(inbox, os.environ))
    if svg is not None:
        screen.save_svg(svg)
    return 0 if inbox.raw else 1


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


def _send_on(inbox: Inbox, environ: Mapping[str, str]) -> str:
    """Send the telemetry on if the environment names an OTLP endpoint.

    Returns:
        The result in words, for the screen; empty without an endpoint.
    """
    if not environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip():
        return ""
    from redispan.cli.otlp_relay import RelayError, protocol_of, relay

    try:
        relay(inbox.raw, environ)
    except RelayError as error:
        return f"not taken by OTEL_EXPORTER_OTLP_ENDPOINT over {protocol_of(environ)}: {error}"
    return f"sent to OTEL_EXPORTER_OTLP_ENDPOINT over {protocol_of(environ)} too"


def _instrument_command() -> list[str]:
    beside = Path(sys.executable).with_name("opentelemetry-instrument")
    if beside.exists():
        return [str(beside)]
    call = "import sys; from opentelemetry.instrumentation.auto_instrumentation import run; sys.exit(run())"
    return [sys.executable, "-c", call]


@contextlib.contextmanager
def _server(url: str | None) -> Iterator[str]:
    """Yield the given URL, or that of a throw-away server."""
    if url:
        yield url
        return
    with EmbeddedServer() as own:
        yield own.url


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
