"""The pool layer: what it costs a healthy call, throughput against the library's defaults, time to failure.

Run it as ``python tests/bench/pool_bench.py [--quick] [--write docs/pools.md]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from bench.figures import say, write_into
from bench.in_memory import InMemoryConnection
from redispan._client.pool_patches import POOL_PATCHES
from redispan.embedded_server import EmbeddedServer
from redispan.pool_settings import PoolSettings
from servers.dead_ends import black_hole, dead_port, silent_port

BUDGET_US = 1.5


@contextlib.contextmanager
def layer(settings: PoolSettings | None) -> Iterator[None]:
    """The pool layer on, or off."""
    if settings is not None:
        POOL_PATCHES.apply(settings)
    try:
        yield
    finally:
        POOL_PATCHES.undo()


def cost_of_a_call(rounds: int, calls: int) -> tuple[float, float]:
    """Microseconds of CPU per GET over a canned socket: without and with the layer, interleaved, best of rounds."""
    found: dict[bool, list[float]] = {False: [], True: []}
    # The same values in both, so that what is compared is the layer and not a health check or another retry object.
    values = {"socket_timeout": 2.0, "health_check_interval": 0, "protocol": 2}
    for _ in range(rounds):
        for on in (False, True):
            with layer(PoolSettings() if on else None):
                pool = redis.ConnectionPool(connection_class=InMemoryConnection, **values)
                client = redis.Redis(connection_pool=pool)
                client.get("k")
                gc.disable()
                start_ns = time.thread_time_ns()
                for _ in range(calls):
                    client.get("k")
                found[on].append((time.thread_time_ns() - start_ns) / calls / 1000)
                gc.enable()
    return min(found[False]), min(found[True])


def threads(port: int, count: int, calls: int) -> list[float]:
    """Seconds of each call, made by ``count`` threads."""
    client = redis.Redis(port=port, protocol=2)
    took: list[float] = []

    def work() -> None:
        mine = []
        for _ in range(calls):
            start = time.perf_counter()
            try:
                client.get("k")
            except redis.ConnectionError:
                mine.append(float("inf"))
                continue
            mine.append(time.perf_counter() - start)
        took.extend(mine)

    running = [threading.Thread(target=work) for _ in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    client.close()
    return took


def tasks(port: int, count: int, calls: int) -> list[float]:
    """Seconds of each call, made by ``count`` tasks."""

    async def run() -> list[float]:
        client = redis.asyncio.Redis(port=port, protocol=2)
        took: list[float] = []

        async def work() -> None:
            for _ in range(calls):
                start = time.perf_counter()
                try:
                    await client.get("k")
                except redis.ConnectionError:
                    took.append(float("inf"))
                    continue
                took.append(time.perf_counter() - start)

        await asyncio.gather(*(work() for _ in range(count)))
        await client.aclose()
        return took

    return asyncio.run(run())


def describe(took: list[float], seconds: float) -> str:
    """Throughput, percentiles of the calls that succeeded, and how many did not: cells of a table."""
    good = sorted(one for one in took if one != float("inf"))
    cuts = statistics.quantiles(good, n=1000)
    p50, p99, p999 = (cuts[at] * 1000 for at in (499, 989, 998))
    return f"{len(good) / seconds:.0f} | {p50:.2f} | {p99:.2f} | {p999:.2f} | {len(took) - len(good)}"


def time_to_failure(call: Callable[[], Any]) -> str:
    """How long until the caller knows."""
    start = time.monotonic()
    try:
        call()
    except Exception as failure:
        return f"{time.monotonic() - start:.2f} s ({type(failure).__name__})"
    return "did not fail"


def main() -> None:
    """Print the table. A measurement, not a test: nothing here fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no time to failure")
    parser.add_argument("--write", type=Path, help="put the figures into this page, between its marks")
    options = parser.parse_args()
    versions = f"Python {sys.version.split()[0]}, redis-py {redis.__version__}, {os.cpu_count()} cores"
    bare_us, tuned_us = cost_of_a_call(5 if options.quick else 15, 5_000)
    say(
        f"{versions}. A healthy call: {bare_us:.2f} us bare, {tuned_us:.2f} us tuned, +{tuned_us - bare_us:.2f} us "
        f"(budget {BUDGET_US})."
    )
    under_load(2_000 if options.quick else 20_000)
    if not options.quick:
        until_it_fails()
    if options.write is not None:
        write_into(options.write)


def under_load(calls: int) -> None:
    """GETs of many threads or tasks on one client."""
    say("\n| on one client | pool | GET/s | p50, ms | p99, ms | p99.9, ms | failed |")
    say("|---|---|---:|---:|---:|---:|---:|")
    with EmbeddedServer() as server:
        for name, drive in (("threads", threads), ("tasks", tasks)):
            for count in (8, 64, 256):
                for on in (False, True):
                    with layer(PoolSettings() if on else None):
                        start = time.perf_counter()
                        took = drive(server.port, count, max(10, calls // count))
                        cells = describe(took, time.perf_counter() - start)
                    say(f"| {count} {name} | {'tuned' if on else 'plain'} | {cells} |")


def until_it_fails() -> None:
    """One GET on servers that don't answer."""
    say("\n| server | plain | tuned |\n|---|---|---|")
    for name, trouble in (("dead", dead_port), ("silent", silent_port), ("black-holed", black_hole)):
        with trouble() as port:
            cells = []
            for on in (False, True):
                with layer(PoolSettings() if on else None):
                    cells.append(time_to_failure(lambda port=port: redis.Redis(port=port, host="127.0.0.1").get("k")))
        say(f"| {name} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    main()
