"""``make bench``: the counted costs of watching. Nothing here fails: ``test_frames.py`` checks what must not grow.

Run it as ``python tests/bench/run.py [--quick] [--write docs/performance.md]``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import budgets, frames, full_pool, instructions, memory, page, times
from bench.figures import Figures
from bench.operations import GET, OPERATIONS
from bench.states import BARE, SAMPLED, STATES, State

Counted = TypeVar("Counted")
PACKAGES = ("redis", "hiredis", "opentelemetry-sdk", "opentelemetry-instrumentation-redis")


def main() -> None:
    """Measure, print as it comes, and write the page if one is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the main states and operations, no memory, no full pool")
    parser.add_argument("--write", type=Path, help="put the figures into this page, between its marks")
    options = parser.parse_args()
    said = []
    for text in sections(quick=options.quick):
        print(text, end="\n\n", flush=True)
        said.append(text)
    if options.write is not None:
        page.write_into(options.write, "\n\n".join(said))


def sections(*, quick: bool) -> Iterator[str]:
    """Yield each section of the report as soon as it is known."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield f"{sys.implementation.name} {sys.version.split()[0]}, {packages}; {os.cpu_count()} cores."
    held = None if quick else memory.measure()
    if instructions.available():
        yield from _of_instructions(Figures(_all(instructions.count, quick=quick)), held)
    else:
        yield "There is no valgrind on this machine: frames and times only, and no budget is judged."
    yield from _of_frames(_all(frames.count, quick=quick))
    taken = Figures(_all(times.take, quick=quick, at_once=1))
    yield f"### Processor time, µs\n\n{page.costs(taken, '{:.2f}')}"
    if held is not None:
        title = f"### Memory, {memory.POOLS} pools x {memory.COMMANDS_EACH} commands"
        text = "redispan's code holds {redispan:.2f} MB, OpenTelemetry's {opentelemetry:.2f} MB for the same series."
        yield f"{title}\n\n{text.format(**held)}"
        yield f"### A full pool\n\n{_full_pool(full_pool.measure())}"


def _all(count: Callable[[str, list[str]], Counted], *, quick: bool, at_once: int | None = None) -> dict[str, Counted]:
    """Count in every state, several at a time. A busy machine affects times, but not counts."""
    states = [state for state in STATES if state.main or not quick]
    with ThreadPoolExecutor(at_once or os.cpu_count()) as pool:
        found = pool.map(lambda state: count(state.name, _operations(state, quick=quick)), states)
        return {state.name: counted for state, counted in zip(states, found, strict=True)}


def _operations(state: State, *, quick: bool) -> list[str]:
    return [operation.name for operation in OPERATIONS if operation.main or (state.main and not quick)]


def _of_instructions(counted: Figures, held: dict[str, float] | None) -> Iterator[str]:
    verdicts = budgets.judge(counted, None if held is None else held["redispan"])
    yield f"### Budgets\n\n{page.budgets(verdicts)}"
    yield f"### Instructions\n\n{page.costs(counted, '{:,.0f}')}"
    for watcher in ("contrib", "floor"):
        yield page.ratios(counted, watcher)
    yield f"### Instructions that a setting saves\n\n{page.savings(counted)}"


def _of_frames(counted: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    totals = {
        state: {operation: sum(parts.values()) for operation, parts in found.items()}
        for state, found in counted.items()
    }
    yield f"### Python frames\n\n{page.costs(Figures(totals), '{:.2f}')}"
    parts = page.parts(counted[State("redispan", SAMPLED).name][GET.name], counted[BARE.name][GET.name])
    yield f"### Whose frames a sampled GET has\n\n{parts}"


def _full_pool(loads: Iterable[full_pool.Load]) -> str:
    rows = [
        (load.callers, f"{load.processor_time:.2f} x", f"{load.throughput:.2f} x", str(load.failed)) for load in loads
    ]
    return page.table(("callers of one client", "processor time", "throughput", "failed"), rows)


if __name__ == "__main__":
    main()
