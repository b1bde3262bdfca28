"""The command line: ``redispan demo | doctor | report``.

This package parses arguments, gets settings, patches and reports from other packages, and prints them. No other part of
redispan imports it. Each subcommand is one module with ``HELP``, ``add_arguments(parser)`` and
``run(arguments) -> exit code``.
"""

from __future__ import annotations


def main() -> int:
    """Run the command line; the console script ``redispan`` calls this."""
    from redispan.cli.arguments import run

    return run()
