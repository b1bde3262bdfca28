"""The budgets as data: the target for each count, and whether it is met. Only counts are judged, not times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.figures import Figures
from bench.operations import ASYNC_GET, GET, QUEUED, QUEUED_MIXED, SET, Operation
from bench.states import BARE, NO_SDK, SAMPLED, UNSAMPLED, State

MEMORY_MB = 6.0
POOL_SHARE = 0.08
POOL_LAYER = State("pool layer alone")


@dataclass(frozen=True)
class Budget:
    """The cost that redispan may add to a call, as a share of what contrib's instrumentation adds in ``contrib``."""

    operation: Operation
    redispan: State
    contrib: State
    limit: float


@dataclass(frozen=True)
class Verdict:
    """One budget and the measured value."""

    what: str
    limit: str
    measured: str
    met: bool


def _against_contrib(operation: Operation, sdk: str, limit: float) -> Budget:
    return Budget(operation, State("redispan", sdk), State("contrib", sdk), limit)


BUDGETS = (
    _against_contrib(GET, SAMPLED, 0.75),
    _against_contrib(SET, SAMPLED, 0.75),
    _against_contrib(ASYNC_GET, SAMPLED, 0.75),
    _against_contrib(QUEUED, SAMPLED, 0.5),
    _against_contrib(QUEUED_MIXED, SAMPLED, 0.6),
    _against_contrib(GET, UNSAMPLED, 0.85),
    _against_contrib(ASYNC_GET, UNSAMPLED, 0.9),
    _against_contrib(GET, NO_SDK, 0.6),
    _against_contrib(ASYNC_GET, NO_SDK, 0.6),
    Budget(GET, State("redispan", SAMPLED, {"spans": "notable"}), State("contrib", SAMPLED), 0.2),
)


def judge(instructions: Figures, memory_mb: float | None) -> Iterator[Verdict]:
    """Compare the counts with the budgets. A budget without a count is left out."""
    for budget in BUDGETS:
        ratio = instructions.ratio(budget.redispan, budget.contrib, budget.operation.name)
        if ratio is not None:
            what = f"{budget.operation.name}: {budget.redispan.name}"
            yield Verdict(what, f"{budget.limit:.2f} x {budget.contrib.name}", f"{ratio:.2f} x", ratio <= budget.limit)
    added, bare = instructions.over_bare(POOL_LAYER, GET.name), instructions.all_of(BARE, GET.name)
    if added is not None and bare:
        share = added / bare
        limit = f"{POOL_SHARE:.0%} of a bare GET"
        yield Verdict(f"GET: {POOL_LAYER.name}", limit, f"{share:.1%}", share <= POOL_SHARE)
    if memory_mb is not None:
        what = "memory that redispan holds, 24 pools x 200 commands"
        yield Verdict(what, f"{MEMORY_MB:.1f} MB", f"{memory_mb:.2f} MB", memory_mb <= MEMORY_MB)
