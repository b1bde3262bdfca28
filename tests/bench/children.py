"""Processes that enter one state and count in it. Earlier events in the parent process do not affect them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
PATIENCE_S = 900
"""A safety net: valgrind needs some ten seconds for a state."""


def run(module: str, arguments: Iterable[str] = (), under: Sequence[str] = ()) -> str:
    """Run a module of this folder as a program, and return what it printed.

    Args:
        module: Its name.
        arguments: Its arguments.
        under: A program to run it under, with arguments.
    """
    # The settings of the caller's environment must not affect a measurement.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    command = [*under, sys.executable, "-m", f"bench.{module}", *arguments]
    done = subprocess.run(
        command,
        cwd=TESTS,
        env={**environment, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def state_and_operations() -> tuple[Any, list[Any]]:
    """Enter the state named first on the command line, and return the operations named after it."""
    from bench import operations, states

    state = states.BY_NAME[sys.argv[1]]
    states.enter(state)
    return state, [operations.BY_NAME[name] for name in sys.argv[2:]]
