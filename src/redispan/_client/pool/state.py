"""``PoolState``, which redispan keeps for each pool, and the pool registry, which holds all states weakly.

A state does not repeat the figures that the pool itself knows: redispan reads those from the pool when it needs them.
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
"""The most pools that the registry watches at a time.

The bound keeps the registry small in a program that makes a pool for each request and keeps it.
"""


class PoolState:
    """The state that redispan keeps for one pool: its name, waiters, settings and counters.

    Attributes:
        owner: A weak reference to the pool.
        settings: The settings in force when the pool was built.
        tuned: Whether redispan may change the pool; if not, redispan only watches it.
        kind: ``pool``, ``blocking`` or ``cluster_node``.
        base_name: The name without the number that makes it unique.
        name: The unique name; empty until redispan names the pool.
        active: The pool is in use in this process, and redispan reports it.
        closed: The program closed the pool.
        provisional: The pool has a name and is not reported, see ``activate``.
        outage: A whole series of attempts to connect failed, and no connection has been opened since.
        resized: When (monotonic) dynamic sizing last changed the limit; 0 for never.
        quiet_since_s: Since when (monotonic) use is low, for dynamic sizing; None while it is not.
    """

    def __init__(self, owner: Any, settings: PoolSettings, *, tuned: bool, base_name: str, kind: str) -> None:
        """Make the state of ``owner``, which it holds weakly.

        Args:
            owner: The pool.
            settings: The settings in force when it was built.
            tuned: Whether redispan may change the pool; if not, redispan only watches it.
            base_name: The name without the number that makes it unique.
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
        """Clear the counters, waiters and locks: a forked child starts without those of its parent."""
        self.pid = os.getpid()
        self.lock = threading.RLock()  # a finalizer may release a connection while this thread holds the lock
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
        """Return whether redispan reports the pool.

        It reports a pool while it is in use, and a closed one until all lent connections are back.
        """
        pool = self.owner()
        if pool is None:
            return False
        return self.active or (self.closed and bool(connection_pools.lent_and_free(pool)[0]))

    @property
    def wait_limit_s(self) -> float:
        """The longest wait for a connection, in seconds.

        It is ``pool_wait_s``, or else the read timeout (the pool's, or ``pool_socket_timeout_s`` if it has none)
        plus 1 s.
        """
        if self.settings.pool_wait_s is not None:
            return self.settings.pool_wait_s
        pool = self.owner()
        timeout = getattr(pool, "connection_kwargs", {}).get("socket_timeout")
        if not isinstance(timeout, (int, float)) or timeout <= 0:
            timeout = self.settings.pool_socket_timeout_s
        return float(timeout) + 1.0

    def soft_ceiling(self, pool: Any) -> int | None:
        """Return the number of connections up to which the pool may exceed its limit, or None if it may not."""
        limit = getattr(pool, "max_connections", None)
        return limit.ceiling if isinstance(limit, TunedLimit) and limit.ceiling > limit else None

    def parked(self, connections: list[Any]) -> int:
        """Count the connections that sit in a blocking read or a subscription, up to ``pool_parked_max``."""
        found = 0
        for connection in connections:
            hold = getattr(connection, "redispan_hold", None)
            if hold is not None and hold.parked:
                found += 1
        return min(found, self.settings.pool_parked_max)

    def note_wait(self, seconds: float, *, in_vain: bool) -> None:
        """Count a wait of ``seconds``; one ``in_vain``, without a connection at its end, is also a timeout."""
        with self.lock:
            self.waits += 1
            self.wait_s += seconds
            if in_vain:
                self.timeouts += 1

    def notify(self, kind: str, pool: Any, waited_s: float, reason: str, *, limit: int | None = None) -> None:
        """Count a pool event, and emit it.

        Args:
            kind: ``exhausted``, ``exceeded`` or ``resized``, as in ``PoolEvent``.
            pool: The pool.
            waited_s: How long the caller waited, in seconds.
            reason: Why it happened, for people.
            limit: The limit to report; None for the pool's present one.
        """
        SLOT.runtime.self_metrics.add("pool_events", kind)
        limit = getattr(pool, "max_connections", None) if limit is None else limit
        event = PoolEvent(kind, self.name, limit, connection_pools.lent(pool), waited_s, reason)
        SLOT.runtime.pool_sources.notify(event)


class PoolRegistry:
    """The states of all pools. The registry is weak and bounded, and gives each pool in use a unique name."""

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
        """Add a state; return False if the registry is full.

        redispan does not report a pool before its first use, so a prefork master that only makes a client reports none.
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
        """Return the states of the pools that redispan may have to report; cluster nodes are not among them.

        Closed pools cost a reader nothing: of ten thousand, none is in the result.
        """
        with self._lock:
            return tuple(self._at_work)

    def wake(self, state: PoolState) -> None:
        """Add a state to those that ``at_work`` returns; its pool is already active."""
        with self._lock:
            self._at_work.add(state)

    def rest(self, state: PoolState) -> None:
        """Remove a state from those that ``at_work`` returns, until its pool, found closed and empty, is used again."""
        with self._lock:
            # It stays if the pool was used again meanwhile, or still has waiters to lend a connection to.
            if not state.active and not state.waiters:
                self._at_work.discard(state)

    def name(self, state: PoolState, base_name: str) -> None:
        """Give a state ``base_name``, with ``#2`` and so on appended while another reported pool has that name."""
        with self._lock:
            # The name of a closed pool is free for others: `activate` gives that pool a new one on its next use.
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
    """Give ``pool`` a state and return it, or return None if pools are left alone or the registry is full."""
    if settings.pool == "off":
        return None
    kind = "blocking" if hasattr(pool, "timeout") and hasattr(pool, "max_connections") else "pool"
    state = PoolState(pool, settings, tuned=tuned, base_name="", kind=kind)
    if not registry().add(state):
        return None
    pool.redispan_state = state
    return state


def activate(state: PoolState, pool: Any, *, provisionally: bool = False) -> None:
    """Mark a pool as in use: for the first time, or again after a fork or a close.

    A provisional pool gets a name for its measurements, but redispan does not report it. A cluster discards the pool
    with which it reads the topology, and its next pool for the same server must not count as a second one.
    """
    if not state.name or state.closed or state.provisional:
        # The name is set on first use, because a Sentinel pool learns its service only after it was made.
        address, port, db, late = clients.place_of_pool(pool)
        place = pool.service_name if late else address if port is None else f"{address}:{port}"
        registry().name(state, f"{place}/{db}")
    state.provisional = provisionally
    state.closed = False
    state.active = not provisionally
    if state.active:
        registry().wake(state)


def is_ours(seconds: Any) -> bool:
    """Return whether redispan chose this timeout."""
    return isinstance(seconds, TunedSeconds)
