"""The argument parser of the command line, and the exit codes of a run."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

from redispan.cli import plain_output
from redispan.version import __version__

EXIT_OK = 0
EXIT_USAGE = 2

SUBCOMMANDS = ("demo", "doctor", "report")
"""Modules of this package, in the order of the help text. A missing module is left out."""


def run(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and run the subcommand.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        The exit code: that of the subcommand, 2 without a subcommand, 130 after Ctrl-C.
    """
    parser = build_parser()
    arguments = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    if arguments.run is None:
        parser.print_help()
        return EXIT_USAGE
    plain_output.settle()
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `redispan doctor | head` is no error. Without stdout, Python cannot report it again when it flushes at exit.
        sys.stdout = None
        return EXIT_OK


def build_parser() -> argparse.ArgumentParser:
    """Build the parser with every subcommand that is installed."""
    parser = argparse.ArgumentParser(
        prog="redispan",
        description="OpenTelemetry for redis-py. To instrument a program: opentelemetry-instrument python app.py",
    )
    parser.add_argument("--version", action="version", version=f"redispan {__version__}")
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in SUBCOMMANDS:
        module = _module(name)
        if module is None:
            continue
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def _module(name: str) -> ModuleType | None:
    qualified = f"redispan.cli.{name}"
    if importlib.util.find_spec(qualified) is None:
        return None
    return importlib.import_module(qualified)
