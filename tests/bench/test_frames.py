"""The number of Python frames that redispan adds to a call is exactly that of the table, so no cost grows unnoticed."""

import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from bench import frames
from bench.frame_budget import FRAMES, PINS, PYTHON

CASES = [(state, operation) for state, operations in FRAMES.items() for operation in operations]


def _present(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def _other_versions() -> list[str]:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = [] if here == PYTHON else [f"Python {here}"]
    for pin in PINS:
        distribution, _, pinned = pin.partition("==")
        found = _present(distribution)
        if found != pinned:
            others.append(f"{distribution} {found}")
    return others


pytestmark = pytest.mark.skipif(
    bool(_other_versions()), reason=f"the table is not for {', '.join(_other_versions())}: see bench/frame_budget.py"
)


@pytest.fixture(scope="module")
def counted() -> dict[str, dict[str, float]]:
    """Return the frames over the bare call, as in ``FRAMES``. Each state is counted in a separate process."""
    totals = {}
    for state in ("bare", *FRAMES):
        found = frames.count(state, list(FRAMES.get(state, FRAMES["redispan, sampled"])))
        totals[state] = {operation: sum(parts.values()) for operation, parts in found.items()}
    bare = totals.pop("bare")
    return {
        state: {operation: round(total - bare[operation], 2) for operation, total in operations.items()}
        for state, operations in totals.items()
    }


@pytest.mark.parametrize(("state", "operation"), CASES)
def test_a_call_has_the_frames_of_the_table(state: str, operation: str, counted: dict[str, dict[str, float]]) -> None:
    """redispan adds exactly as many Python frames to the call as the table says."""
    found, budget = counted[state][operation], FRAMES[state][operation]
    assert found <= budget, (
        f"{operation} ({state}) became dearer: {found} Python frames over the bare call, and the budget is {budget}"
    )
    assert found == budget, (
        f"{operation} ({state}) became cheaper: {found} Python frames over the bare call. Lower the table's {budget} "
        "in bench/frame_budget.py, so that nobody spends the gain unseen"
    )
