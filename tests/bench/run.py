"""``make bench``: what watching costs, as overhead over the bare call and as ratios, all in one run.

Every state runs in every round, so that noise of the machine hits all alike; the figure is the median of the rounds.
What is measured is the steady state: the first operations of a process, which insight looks at one by one, go before.
This is a measurement and not a test: nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

import redis
import redis.asyncio
from figures import say, write_into
from in_memory import in_memory_client
from states import BUDGETS, FLOORS, STATES, drain

from redispan._insight.cache_sampling import FIRST
from redispan.embedded_server import EmbeddedServer
from servers.cluster import start_cluster

clock = time.perf_counter_ns
"""Wall clock; ``--clock cpu`` takes the calling thread's processor time instead, which other programs don't disturb."""


def measure(call: Callable[[], Any], count: int) -> float:
    """Microseconds per call."""
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count / 1000


def sync_workload(call: Callable[[], Any], count: int, per: int = 1) -> Callable[[str], float]:
    def run(state: str) -> float:
        watched = FLOORS[state].around(call) if state in FLOORS else call
        measure(watched, max(count, 300, FIRST // per))
        return measure(watched, count)

    return run


def async_workload(port: int, count: int) -> Callable[[str], float]:
    async def go(state: str) -> float:
        client = redis.asyncio.Redis(port=port)

        def call() -> Any:
            return client.get("key")

        watched = FLOORS[state].around_async(call) if state in FLOORS else call
        for _ in range(max(count, FIRST)):
            await watched()
        start = clock()
        for _ in range(count):
            await watched()
        took = (clock() - start) / count / 1000
        await client.aclose()
        return took

    return lambda state: asyncio.run(go(state))


def table(title: str, run: Callable[[str], float], rounds: int, per: int = 1) -> dict[str, float]:
    """Run all states ``rounds`` times and print them; returns overhead per state, and the bare time."""
    samples: dict[str, list[float]] = {state: [] for state in STATES}
    for _ in range(rounds):
        for state, enter in STATES.items():
            with enter():
                gc.collect()
                samples[state].append(run(state))
            drain()  # or the exporter's thread would still be busy with this state's spans during the next
    # Overhead is taken within a round, against that round's bare run: drift of the machine cancels out.
    overhead = {
        state: statistics.median(s - b for s, b in zip(values, samples["bare"], strict=True))
        for state, values in samples.items()
    }
    bare = statistics.median(samples["bare"])
    say(f"\n### {title}\n\nbare call: {bare:.1f} us\n")
    say("| state | overhead, us" + (" | per command, us |\n|---|---:|---:|" if per > 1 else " |\n|---|---:|"))
    for state, value in overhead.items():
        if state != "bare":
            say(f"| {state} | {value:.2f}" + (f" | {value / per:.3f} |" if per > 1 else " |"))
    return {**overhead, "bare": 0.0}


def budgets(overhead: dict[str, float]) -> None:
    say("\n| budget | limit | measured | |\n|---|---:|---:|---|")
    for what, state, against, kind, limit in BUDGETS:
        if kind == "us":
            measured, shown = overhead[state] - overhead[against], "us"
        else:
            measured, shown = overhead[state] / overhead[against], "x"
        say(f"| {what} | {limit} {shown} | {measured:.2f} {shown} | {'met' if measured <= limit else 'MISSED'} |")


def queued(client: Any, commands: int) -> Callable[[], Any]:
    def call() -> Any:
        pipeline = client.pipeline(transaction=False)
        for _ in range(commands):
            pipeline.get("key")
        return pipeline.execute()

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--quick", action="store_true", help="in-memory GET only")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--write", type=Path, help="put the figures into this page, between its marks")
    options = parser.parse_args()
    if options.clock == "cpu":
        global clock
        clock = time.thread_time_ns
    say(
        f"Python {sys.version.split()[0]}, redis-py {redis.__version__}, OpenTelemetry {version('opentelemetry-sdk')}, "
        f"{os.cpu_count()} cores; {options.rounds} rounds, {options.clock} time."
    )
    run_all(options.rounds, options.count, quick=options.quick)
    if options.write is not None:
        write_into(options.write)


def run_all(rounds: int, count: int, *, quick: bool) -> None:
    memory = in_memory_client()
    budgets(table("GET, in-memory connection", sync_workload(lambda: memory.get("key"), count), rounds))
    if quick:
        return
    value = b"x" * 1000
    table("SET of 1 kB, in-memory connection", sync_workload(lambda: memory.set("key", value), count), rounds)
    table(
        "pipeline of 100, in-memory connection", sync_workload(queued(memory, 100), count // 30, 100), rounds, per=100
    )
    with EmbeddedServer() as server:
        client = redis.Redis(port=server.port)
        client.set("key", "value")
        table("GET, real server on loopback", sync_workload(lambda: client.get("key"), count), rounds)
        table("asyncio GET, real server on loopback", async_workload(server.port, count), rounds)
    cluster = start_cluster()
    try:
        nodes = redis.RedisCluster(host=cluster.host, port=cluster.port)
        table("GET, real cluster of 3", sync_workload(lambda: nodes.get("key"), count // 2), rounds)
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
