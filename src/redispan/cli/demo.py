"""Run a small shop under opentelemetry-instrument, with a throw-away Redis, and show the telemetry that it sends."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from redispan.cli.demo_run import PROGRAM, run_program
from redispan.testing.embedded_server import EmbeddedServer, ServerNotFoundError, ServerNotStartedError

if TYPE_CHECKING:
    from redispan.cli.otlp_inbox import Inbox

HELP = "see it work: an ordinary program, its spans, metrics and alerts, in ten seconds"

_NEEDED = {"rich": "rich", "redis": "redis", "opentelemetry.sdk": "SDK", "opentelemetry.proto": "OTLP exporter"}


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
