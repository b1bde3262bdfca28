"""Count machine instructions with valgrind. Other work on the machine does not change them.

One run of valgrind enters a state and forks two processes for each operation, which make different numbers of calls.
Everything except those calls is the same in both, so the difference cancels it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import chance, children

CALLS, BATCHES = (64, 384), (8, 72)
"""How many each of the two processes makes. Some things happen at every 64th call: no share of them is cut off."""


def available() -> bool:
    """Return whether valgrind is on this machine."""
    return shutil.which("valgrind") is not None


def count(state: str, operations: Sequence[str]) -> dict[str, float]:
    """Return the instructions of one command of each operation, watched as ``state`` says."""
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
        said = children.run("instructions", (state, *operations), (*valgrind, f"--log-file={folder}/%p"))
        found: dict[str, list[tuple[int, int]]] = {}
        for line in said.splitlines():
            operation, commands, pid = json.loads(line)
            found.setdefault(operation, []).append((commands, _counted(Path(folder, str(pid)))))
    return {operation: _slope(*sorted(counted)) for operation, counted in found.items()}


def _counted(log: Path) -> int:
    match = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text(encoding="utf-8"))
    if match is None:
        raise RuntimeError(f"valgrind counted nothing: {log.read_text(encoding='utf-8')[-2000:]}")
    return int(match[1].replace(",", ""))


def _slope(few: tuple[int, int], many: tuple[int, int]) -> float:
    return (many[1] - few[1]) / (many[0] - few[0])


def main() -> None:
    """Under valgrind: print which process does what. Valgrind writes each process's count when it ends."""
    _, operations = children.state_and_operations()
    from bench import steady

    for operation in operations:
        for calls in CALLS if operation.commands == 1 else BATCHES:
            pid = os.fork()
            if pid == 0:
                steady.warm_up(operation)(calls)
                print(json.dumps((operation.name, calls * operation.commands, os.getpid())), flush=True)
                os._exit(0)
            _, status = os.waitpid(pid, 0)
            if status:
                raise SystemExit(f"{operation.name} ended with {status}")
    os._exit(0)  # no exporter may be flushed


if __name__ == "__main__":
    chance.stop()
    main()
