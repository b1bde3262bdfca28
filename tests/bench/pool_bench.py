"""The pool layer compared with the library's defaults on real servers: throughput under load, and time to failure.

Run it as ``python tests/bench/pool_bench.py [--quick] [--write docs/pools.md]``. ``run.py`` counts what the layer costs
a healthy call.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import page
from bench.load import DRIVES, FAILED
from redispan._client.pool.patches import POOL_PATCHES
from redispan.settings.pool import PoolSettings
from redispan.testing.embedded_server import EmbeddedServer
from servers.dead_ends import black_hole, dead_port, silent_port


@contextlib.contextmanager
def layer(*, on: bool) -> Iterator[None]:
    """Turn the pool layer on or off."""
    if on:
        POOL_PATCHES.apply(PoolSettings())
    try:
        yield
    finally:
        POOL_PATCHES.undo()


def main() -> None:
    """Print the tables. This is a measurement, not a test: nothing here fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer calls, no time to failure")
    parser.add_argument("--write", type=Path, help="put the figures into this page, between its marks")
    options = parser.parse_args()
    said = [
        f"Python {sys.version.split()[0]}, redis-py {redis.__version__}, {os.cpu_count()} cores.",
        under_load(2_000 if options.quick else 20_000),
    ]
    if not options.quick:
        said.append(until_it_fails())
    text = "\n\n".join(said)
    print(text)
    if options.write is not None:
        page.write_into(options.write, text)


def under_load(calls: int) -> str:
    """Return a table of GETs by many threads or tasks on one client."""
    rows = []
    with EmbeddedServer() as server:
        for name, drive in DRIVES.items():
            for count in (8, 64, 256):
                for on in (False, True):
                    with layer(on=on):
                        start_s = time.perf_counter()
                        took = drive(server.port, count, max(10, calls // count))
                        cells = _describe(took, time.perf_counter() - start_s)
                    rows.append((f"{count} {name}, {'tuned' if on else 'plain'}", *cells))
    return page.table(("on one client", "GET/s", "p50, ms", "p99, ms", "p99.9, ms", "failed"), rows)


def _describe(took: list[float], seconds: float) -> list[str]:
    """Return throughput, percentiles of the calls that succeeded, and the number of calls that did not."""
    good = sorted(one for one in took if one != FAILED)
    cuts = statistics.quantiles(good, n=1000)
    return [
        f"{len(good) / seconds:.0f}",
        *(f"{cuts[at] * 1000:.2f}" for at in (499, 989, 998)),
        str(took.count(FAILED)),
    ]


def until_it_fails() -> str:
    """Return a table of one GET on servers that don't answer."""
    rows = []
    for name, trouble in (("dead", dead_port), ("silent", silent_port), ("black-holed", black_hole)):
        with trouble() as port:
            cells = []
            for on in (False, True):
                with layer(on=on):
                    cells.append(_time_to_failure(lambda port=port: redis.Redis(port=port, host="127.0.0.1").get("k")))
        rows.append((name, *cells))
    return page.table(("server", "plain", "tuned"), rows)


def _time_to_failure(call: Callable[[], Any]) -> str:
    start_s = time.monotonic()
    try:
        call()
    except Exception as failure:
        return f"{time.monotonic() - start_s:.2f} s ({type(failure).__name__})"
    return "did not fail"


if __name__ == "__main__":
    main()
