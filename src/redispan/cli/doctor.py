"""Check versions, patches, other instrumentations, settings and exporters, and what can be reached."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping

from redispan.cli.check_results import Section, as_json, as_text, problems_in

HELP = "find out why telemetry is missing: versions, patches, settings, exporters, reachability"

Check = Callable[[Mapping[str, str]], Section]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``redispan doctor``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.add_argument("--redis-url", help="the Redis to reach; REDIS_URL by default")
    parser.add_argument("--offline", action="store_true", help="open no connection")


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and print their results; return 0 if there is no problem, else 1."""
    sections = examine(os.environ, redis_url=arguments.redis_url, offline=arguments.offline)
    if arguments.json:
        print(as_json(sections))
    else:
        encoding = (sys.stdout.encoding or "ascii").lower()
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(as_text(sections, color=color, ascii_only=not encoding.startswith("utf")))
    return 1 if problems_in(sections) else 0


def examine(environ: Mapping[str, str], *, redis_url: str | None = None, offline: bool = False) -> list[Section]:
    """Run every check. A check that raises becomes a problem in the results.

    Args:
        environ: The environment to check.
        redis_url: The Redis to reach; ``REDIS_URL`` by default.
        offline: Whether to open no connection.
    """
    from redispan.cli import doctor_environment, doctor_installed, doctor_patches, doctor_reach

    checks: list[Check] = [
        doctor_installed.versions,
        doctor_patches.patches,
        doctor_installed.others,
        doctor_environment.telemetry,
        doctor_environment.settings,
    ]
    if not offline:
        checks.append(lambda environ: doctor_reach.reachability(environ, redis_url or environ.get("REDIS_URL", "")))
    return [_guarded(check, environ) for check in checks]


def _guarded(check: Check, environ: Mapping[str, str]) -> Section:
    try:
        return check(environ)
    except Exception as fault:
        section = Section(getattr(check, "__name__", "check"))
        # Only the type is shown: this text gets into bug reports, and a message may hold a URL.
        section.problem("doctor", f"this check failed itself: {type(fault).__name__}. Please report it.")
        return section
