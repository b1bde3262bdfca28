"""Count Python frames. The count is exact, quick, and the same on every machine with the same versions."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from bench import chance, children

CALLS, BATCHES = 1_024, 128
"""How many are counted. Some things happen at every 64th call: no share of them is cut off."""

PARTS = ("redispan", "opentelemetry", "redis")


def count(state: str, operations: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the frames of one command of each operation, watched as ``state`` says, by package."""
    found: dict[str, dict[str, float]] = json.loads(children.run("frames", (state, *operations)))
    return found


def main() -> None:
    """Print the frames of this thread, because the work of other threads is not part of a call."""
    _, operations = children.state_and_operations()
    from bench import steady

    found = {}
    for operation in operations:
        run = steady.warm_up(operation)
        calls = CALLS if operation.commands == 1 else BATCHES
        files: Counter[str] = Counter()

        def look(frame: FrameType, event: str, _: Any, files: Counter[str] = files) -> None:
            if event == "call":
                files[frame.f_code.co_filename] += 1

        sys.setprofile(look)
        run(calls)
        sys.setprofile(None)
        parts: Counter[str] = Counter()
        for file, frames in files.items():
            parts[_part(file)] += frames
        found[operation.name] = {part: frames / calls / operation.commands for part, frames in parts.items()}
    print(json.dumps(found), flush=True)
    os._exit(0)


def _part(file: str) -> str:
    folders = Path(file).parts
    for part in PARTS:
        if part in folders:
            at = folders.index(part)
            # redispan's own packages are listed one by one, because they can be improved.
            return "/".join((part, *folders[at + 1 : at + 2])) if part == "redispan" else part
    return "bench" if file.startswith(str(children.TESTS)) else "others"


if __name__ == "__main__":
    chance.stop()
    main()
