"""Dynamic sizing, which is opt-in: a limit that redispan set follows measured use, quickly up and slowly down.

A caller that waited raises the limit at once. redispan checks a pool's use each time the pool lends a connection and
each time something reads its figures. After minutes of use far below the limit, it lowers the limit by a tenth. Each
change emits a pool event with its reason. redispan never changes a limit that the program set.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool.state import PoolState
from redispan._client.pool.values import TunedLimit

QUIET_S = 300.0
"""How long use must be low, in seconds, before redispan lowers the limit by one step."""
RAISE_PAUSE_S = 1.0
"""The time in seconds after a change in which further waits, as parts of one burst, don't raise the limit."""
LOW_USE = 0.5


def follow(state: PoolState) -> None:
    """Check the pool's use each time it lends a connection; pools of a fixed size pay nothing for it."""
    if not state.tuned or state.settings.pool_sizing != "dynamic":
        return
    add = state.uses.add

    def count_use() -> int:
        pool = state.owner()
        if pool is not None:
            after_look(state, pool, connection_pools.lent(pool))
        return add()

    state.count_use = count_use


def after_wait(state: PoolState, pool: Any, waited_s: float, clock: Callable[[], float] = time.monotonic) -> int:
    """Raise the limit, because a caller waited ``waited_s`` seconds for a connection.

    Returns:
        By how many connections; 0 if the limit stays.
    """
    with state.lock:  # callers that waited at the same time change the limit one after the other
        limit = _limit(state, pool)
        now = clock()
        if limit is None or now - state.resized < RAISE_PAUSE_S:
            return 0
        state.quiet_since_s = None
        wanted = min(state.settings.pool_sizing_ceiling, limit.ceiling, limit + max(1, math.ceil(limit / 4)))
        if wanted <= limit:
            return 0
        _resize(state, pool, limit, wanted, now)
    _notify(state, pool, limit, wanted, waited_s, "callers waited for a connection")
    return wanted - int(limit)


def after_look(state: PoolState, pool: Any, used: int, clock: Callable[[], float] = time.monotonic) -> None:
    """Lower the limit if ``used`` has been low for ``QUIET_S``."""
    limit = _limit(state, pool)
    if limit is None:
        return
    now = clock()
    if used > limit * LOW_USE or state.waiters:
        state.quiet_since_s = None
        return
    if state.quiet_since_s is None:
        state.quiet_since_s = now
    if now - state.quiet_since_s < QUIET_S:
        return
    with state.lock:
        limit = _limit(state, pool)
        if limit is None or now - (state.quiet_since_s or now) < QUIET_S:
            return  # another thread lowered it meanwhile
        wanted = max(state.settings.pool_sizing_floor, limit - max(1, limit // 10))
        if wanted >= limit:
            return
        state.quiet_since_s = now
        _resize(state, pool, limit, wanted, now)
    _notify(state, pool, limit, wanted, 0.0, "less than half was used for minutes")


def _limit(state: PoolState, pool: Any) -> TunedLimit | None:
    if not state.tuned or state.settings.pool_sizing != "dynamic":
        return None
    limit = getattr(pool, "max_connections", None)
    return limit if isinstance(limit, TunedLimit) else None


def _resize(state: PoolState, pool: Any, limit: TunedLimit, wanted: int, now: float) -> None:
    pool.max_connections = TunedLimit(wanted, limit.ceiling)
    state.resized = now
    if wanted < limit and connection_pools.lent(pool) <= wanted:
        # Connections open beyond the new limit are closed as they are released.
        state.surplus = 1


def _notify(state: PoolState, pool: Any, limit: int, wanted: int, waited_s: float, reason: str) -> None:
    # Without the lock: who listens may take its time.
    state.notify("resized", pool, waited_s, f"from {int(limit)} to {wanted}: {reason}", limit=wanted)
