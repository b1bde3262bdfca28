"""What redispan keeps beside each pool, and the weak book of all of them.

The figures that a pool knows itself are not kept: they are read from it when asked for.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any

from redispan._client.internals import clients, connection_pools
from redispan._client.pool.values import TunedLimit, TunedSeconds
from redispan._core.pool_sources import PoolEvent
from redispan._core.self_metrics import LockFreeCounter
from redispan._core.slot import SLOT
from redispan.settings.pool import PoolSettings

_POOLS_LIMIT = 5000
"""Most pools watched at a time: a program that makes one per request and keeps them must not grow ours too."""


class PoolState:
    """One pool's companion: its waiters, counters and name."""

    def __init__(self, owner: Any, settings: PoolSettings, *, tuned: bool, base_name: str, kind: str) -> None:
        """Make the companion of ``owner``, which is held weakly.

        Args:
            owner: The pool.
            settings: The settings in force when it was built.
            tuned: Whether it may be changed at all, or only watched.
            base_name: Its name but for the number.
            kind: ``pool``, ``blocking`` or ``cluster_node``.
        """
        self.owner: Callable[[], Any] = weakref.ref(owner)
        self.settings = settings
        self.tuned = tuned
        self.kind = kind
        self.base_name = base_name
        self.name = base_name
        self.active = False
        self.closed = False
        self.provisional = False
        self.outage = False
        self.resized = 0.0
        self.quiet_since_s: float | None = None
        self.reset()

    def reset(self) -> None:
        """Start afresh: in a new process, nothing that was counted or locked counts."""
        self.pid = os.getpid()
        self.lock = threading.RLock()  # a finalizer may give a connection back at any line of ours
        self.reading = threading.RLock()
        self.waiters: deque[Any] = deque()
        self.uses = LockFreeCounter()
        self.count_use: Callable[[], int] = self.uses.add
        self.created = 0
        self.connect_failures = 0
        self.timeouts = 0
        self.waits = 0
        self.wait_s = 0.0
        self.exceeded = 0
        self.exhausted = 0
        self.peak = 0
        self.surplus = 0
        self.closed_by: Counter[str] = Counter()

    def is_told_of(self) -> bool:
        """Whether the pool is among the figures: while it is used, and after its end until all that it lent is back."""
        pool = self.owner()
        if pool is None:
            return False
        return self.active or (self.closed and bool(connection_pools.lent_and_free(pool)[0]))

    @property
    def wait_limit_s(self) -> float:
        """How long a caller may wait for a connection."""
        if self.settings.pool_wait_s is not None:
            return self.settings.pool_wait_s
        pool = self.owner()
        timeout = getattr(pool, "connection_kwargs", {}).get("socket_timeout")
        if not isinstance(timeout, (int, float)) or timeout <= 0:
            timeout = self.settings.pool_socket_timeout_s
        return float(timeout) + 1.0

    def soft_ceiling(self, pool: Any) -> int | None:
        """Up to where the limit may be exceeded; None if it may not."""
        limit = getattr(pool, "max_connections", None)
        return limit.ceiling if isinstance(limit, TunedLimit) and limit.ceiling > limit else None

    def parked(self, connections: list[Any]) -> int:
        """How many of the lent connections sit in blocking reads or subscriptions, up to the ceiling for those."""
        found = 0
        for connection in connections:
            hold = getattr(connection, "redispan_hold", None)
            if hold is not None and hold.parked:
                found += 1
        return min(found, self.settings.pool_parked_max)

    def note_wait(self, seconds: float, *, in_vain: bool) -> None:
        """A caller waited."""
        with self.lock:
            self.waits += 1
            self.wait_s += seconds
            if in_vain:
                self.timeouts += 1

    def notify(self, kind: str, pool: Any, waited_s: float, reason: str, *, limit: int | None = None) -> None:
        """Something happened to the pool, under its limit of now or the one given."""
        SLOT.runtime.self_metrics.add("pool_events", kind)
        limit = getattr(pool, "max_connections", None) if limit is None else limit
        event = PoolEvent(kind, self.name, limit, connection_pools.lent(pool), waited_s, reason)
        SLOT.runtime.pool_sources.notify(event)


class PoolRegistry:
    """All companions, by pool; weak, bounded, and with a name that is unique among the living."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._states: weakref.WeakSet[PoolState] = weakref.WeakSet()
        self._nodes: weakref.WeakSet[PoolState] = weakref.WeakSet()
        self._at_work: weakref.WeakSet[PoolState] = weakref.WeakSet()

    def renew_in_child(self) -> None:
        """Report nothing of what a forked child inherited, until a pool is used there."""
        self._lock = threading.RLock()
        self._at_work = weakref.WeakSet()
        for state in tuple(self._states):
            state.active = False
            state.reset()

    def add(self, state: PoolState) -> bool:
        """Take a companion in; False if there is no room.

        It reports nothing before its pool is used: a prefork master that only makes a client has nothing to tell.
        """
        with self._lock:
            if len(self._states) >= _POOLS_LIMIT:
                SLOT.runtime.self_metrics.dropped("pools")
                return False
            self._states.add(state)
            if state.kind == "cluster_node":
                self._nodes.add(state)
        return True

    def at_work(self) -> tuple[PoolState, ...]:
        """Those of the pools, but for nodes, that may have something to tell: of ten thousand closed ones, none."""
        with self._lock:
            return tuple(self._at_work)

    def wake(self, state: PoolState) -> None:
        """Its pool, which is active by now, is read from here on."""
        with self._lock:
            self._at_work.add(state)

    def rest(self, state: PoolState) -> None:
        """Its pool was found closed and empty: it isn't read again before it is used again."""
        with self._lock:
            # Used again since it was looked at, or about to lend what was waited for: not yet.
            if not state.active and not state.waiters:
                self._at_work.discard(state)

    def name(self, state: PoolState, base_name: str) -> None:
        """Give a companion a name that no other living one has."""
        with self._lock:
            # A closed pool has left the stage, and its name with it; it is named anew if it comes back.
            taken = {
                other.name for other in (*self._at_work, *self._nodes) if other is not state and other.is_told_of()
            }
            name, number = base_name, 1
            while name in taken:
                number += 1
                name = f"{base_name}#{number}"
            state.base_name, state.name = base_name, name

    def __iter__(self) -> Iterator[PoolState]:
        with self._lock:
            return iter(sorted(self._states, key=lambda state: state.name))


def registry() -> PoolRegistry:
    """The companions of this process."""
    return SLOT.runtime.part("pool_registry", PoolRegistry)


def attach(pool: Any, settings: PoolSettings, *, tuned: bool) -> PoolState | None:
    """Give ``pool`` a companion; None if it can't have one."""
    kind = "blocking" if hasattr(pool, "timeout") and hasattr(pool, "max_connections") else "pool"
    state = PoolState(pool, settings, tuned=tuned, base_name="", kind=kind)
    if not registry().add(state):
        return None
    pool.redispan_state = state
    return state


def activate(state: PoolState, pool: Any, *, provisionally: bool = False) -> None:
    """The pool is used: for the first time, or again after a fork or a close.

    Provisionally it gets a name to measure under, and is not reported: a cluster throws the pool that it reads the
    topology with away, and the one of the same place that follows is no second one.
    """
    if not state.name or state.closed or state.provisional:
        # Not earlier: a Sentinel pool learns its service only after it was made.
        address, port, db, late = clients.place_of_pool(pool)
        place = pool.service_name if late else address if port is None else f"{address}:{port}"
        registry().name(state, f"{place}/{db}")
    state.provisional = provisionally
    state.closed = False
    state.active = not provisionally
    if state.active:
        registry().wake(state)


def is_ours(seconds: Any) -> bool:
    """Whether a timeout was chosen by redispan."""
    return isinstance(seconds, TunedSeconds)
