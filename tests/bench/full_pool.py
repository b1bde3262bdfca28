"""A full pool with more callers than connections, compared with ``pool=off`` and a connection for each caller.

It shows times and throughput on a real server, in one process for each. No test judges them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench import children
from bench.load import DRIVES, FAILED
from bench.states import NO_SDK, State

CALLS, ROUNDS, CALLERS = 20_000, 3, (64, 128)
TUNED, ONE_EACH = State("redispan", NO_SDK), State("redispan", NO_SDK, {"pool": "off"})


@dataclass(frozen=True)
class Load:
    """The callers' results: redispan's pool in multiples of one connection per caller, as medians of the rounds."""

    callers: str
    processor_time: float
    throughput: float
    failed: int


def measure() -> Iterator[Load]:
    """Measure both in turns."""
    from redispan.testing.embedded_server import EmbeddedServer

    with EmbeddedServer() as server:
        for drive in DRIVES:
            for callers in CALLERS:
                rounds = [
                    tuple(_one(state, drive, callers, server.port) for state in (TUNED, ONE_EACH))
                    for _ in range(ROUNDS)
                ]
                yield Load(
                    f"{callers} {drive}",
                    statistics.median(tuned["cpu_us"] / plain["cpu_us"] for tuned, plain in rounds),
                    statistics.median(tuned["per_s"] / plain["per_s"] for tuned, plain in rounds),
                    sum(tuned["failed"] for tuned, _ in rounds),
                )


def _one(state: State, drive: str, callers: int, port: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(children.run("full_pool", (state.name, drive, str(callers), str(port))))
    return found


def main() -> None:
    """Print the results of one process."""
    from bench import states

    name, drive, callers, port = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    state = states.BY_NAME[name]
    states.enter(state)
    pool = {"max_connections": callers} if state == ONE_EACH else {}
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    took = DRIVES[drive](port, callers, CALLS // callers, **pool)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    failed = took.count(FAILED)
    figures = {"cpu_us": cpu_s / len(took) * 1e6, "per_s": (len(took) - failed) / wall_s, "failed": failed}
    print(json.dumps(figures), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
