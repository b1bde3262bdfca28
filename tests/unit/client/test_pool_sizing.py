"""Dynamic pool sizing: the limit rises fast, falls slowly and stays within its bounds. The program's limits stay."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from redispan._client.pool import sizing
from redispan._client.pool.patches import POOL_PATCHES
from redispan._core.pool_sources import PoolEvent
from redispan._core.slot import SLOT
from redispan.settings.pool import PoolSettings

DYNAMIC = PoolSettings(pool_sizing="dynamic", pool_sizing_floor=5, pool_sizing_ceiling=80, pool_max_connections=20)


def pool_with(settings: PoolSettings, **options: Any) -> redis.ConnectionPool:
    """Return a pool built under ``settings``."""
    POOL_PATCHES.apply(settings)
    try:
        return redis.ConnectionPool(**options)
    finally:
        POOL_PATCHES.undo()


_STEPS = st.tuples(st.sampled_from(["wait", "look"]), st.floats(0, 400), st.integers(0, 100))


@given(steps=st.lists(_STEPS, max_size=60))
def test_the_limit_stays_within_its_bounds(steps: list[tuple[str, float, int]]) -> None:
    """In any order of events, the limit stays between floor and ceiling, and the pool reports each change."""
    pool = pool_with(DYNAMIC)
    state: Any = pool.redispan_state  # type: ignore[attr-defined]
    recorded: list[PoolEvent] = []
    SLOT.runtime.pool_sources.listen(recorded.append)
    now, changes = 1000.0, 0
    for kind, pause_s, used in steps:
        now += pause_s
        before = pool.max_connections
        if kind == "wait":
            sizing.after_wait(state, pool, 0.1, lambda now=now: now)
            assert pool.max_connections >= before
        else:
            sizing.after_look(state, pool, used, lambda now=now: now)
            assert before - max(1, before // 10) <= pool.max_connections <= before
        changes += pool.max_connections != before
        assert DYNAMIC.pool_sizing_floor <= pool.max_connections <= DYNAMIC.pool_sizing_ceiling
    assert len(recorded) == changes
    assert all(event.kind == "resized" and event.reason for event in recorded)
    SLOT.runtime.pool_sources.forget(recorded.append)


def test_up_at_once_and_down_after_minutes() -> None:
    """One wait raises the limit by a quarter. Five minutes at half use lower it by a tenth."""
    pool = pool_with(DYNAMIC)
    state: Any = pool.redispan_state  # type: ignore[attr-defined]
    sizing.after_wait(state, pool, 0.1, lambda: 1000.0)
    assert pool.max_connections == 25
    for at_s in (1010.0, 1100.0, 1309.0):
        sizing.after_look(state, pool, 3, lambda at_s=at_s: at_s)
    assert pool.max_connections == 25
    sizing.after_look(state, pool, 3, lambda: 1311.0)
    assert pool.max_connections == 23


def test_lending_is_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dynamic pool checks its size at each checkout, even if no code reads its figures.

    A pool of fixed size does not.
    """
    pool = pool_with(DYNAMIC)
    state: Any = pool.redispan_state  # type: ignore[attr-defined]
    sizing.follow(state)
    monkeypatch.setattr(sizing, "QUIET_S", 0.0)
    state.count_use()
    assert pool.max_connections == 18
    assert state.uses.read() == 1
    fixed: Any = pool_with(PoolSettings()).redispan_state  # type: ignore[attr-defined]
    sizing.follow(fixed)
    assert fixed.count_use == fixed.uses.add


def test_fixed_limits_and_the_programs_own_stay() -> None:
    """The limit does not change without the setting, or where the program set a limit."""
    for pool, limit in (
        (pool_with(PoolSettings()), 50),
        (pool_with(DYNAMIC, max_connections=7), 7),
    ):
        state: Any = pool.redispan_state  # type: ignore[attr-defined]
        sizing.after_wait(state, pool, 0.1, lambda: 1000.0)
        sizing.after_look(state, pool, 0, lambda: 2000.0)
        sizing.after_look(state, pool, 0, lambda: 3000.0)
        assert pool.max_connections == limit
