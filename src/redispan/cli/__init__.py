"""The command line: ``redispan demo | doctor | report``.

Here belong parsing, asking and printing. What is asked (settings, patches, reports) is answered elsewhere, and no other
part of redispan imports this package. Each subcommand is one module with ``HELP``, ``add_arguments(parser)`` and
``run(arguments) -> exit code``, imported only when it is the one called.
"""

from __future__ import annotations


def main() -> int:
    """Run the command line; the console script ``redispan`` calls this."""
    from redispan.cli.arguments import run

    return run()
