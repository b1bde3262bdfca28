"""Measure processor time, a hint at the cost of instructions. It varies with the machine, so nothing judges it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence

from bench import children

ROUNDS, ROUND_COMMANDS = 7, 2_000


def take(state: str, operations: Sequence[str]) -> dict[str, float]:
    """Return the microseconds of one command of each operation, watched as ``state`` says: the best of some rounds."""
    found: dict[str, float] = json.loads(children.run("times", (state, *operations)))
    return found


def main() -> None:
    """Print the times of this thread."""
    _, operations = children.state_and_operations()
    from bench import steady

    found = {}
    for operation in operations:
        run = steady.warm_up(operation)
        calls = ROUND_COMMANDS // operation.commands
        rounds = []
        for _ in range(ROUNDS):
            start_ns = time.thread_time_ns()
            run(calls)
            rounds.append((time.thread_time_ns() - start_ns) / calls / operation.commands / 1000)
        found[operation.name] = min(rounds)
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
