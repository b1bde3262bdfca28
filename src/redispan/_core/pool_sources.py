"""What pools do: ``PoolStats``, and the book of sources that can be asked for them.

Nothing is stored here that a pool knows itself: a source is asked when someone wants to know, and holds its pools
weakly.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

_log = logging.getLogger("redispan")


@dataclass(frozen=True)
class PoolStats:
    """One pool at one moment.

    Attributes:
        name: ``host:port/db``, ``service/db`` or ``path/db``; ``#2`` and so on for further pools of the same place.
        kind: ``pool``, ``blocking`` or ``cluster_node``.
        used: Connections lent out.
        idle: Connections that are free and open.
        parked: Of the used ones, those that sit in a blocking read or a subscription.
        limit: The most connections it makes; None for no limit worth the name.
        soft: The limit is redispan's and may be exceeded.
        pending: Callers waiting for a connection.
        timeouts: Waits that ended without one.
        waits: Waits there were.
        wait_s: How long they took together.
        exceeded: Connections opened beyond a soft limit.
        exhausted: Calls that found no connection at once.
        created: Connections opened.
        connect_failures: Connections that could not be opened.
        uses: Connections lent out so far.
        closed: Connections closed, by reason.
        tuned: Whether redispan tunes it.
        values: Settings of its connections in effect, for people.
    """

    name: str
    kind: str = "pool"
    used: int = 0
    idle: int = 0
    parked: int = 0
    limit: int | None = None
    soft: bool = False
    pending: int = 0
    timeouts: int = 0
    waits: int = 0
    wait_s: float = 0.0
    exceeded: int = 0
    exhausted: int = 0
    created: int = 0
    connect_failures: int = 0
    uses: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    tuned: bool = False
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def reused(self) -> int:
        """Uses of a connection that was open already."""
        return max(0, self.uses - self.created)


@dataclass(frozen=True)
class PoolEvent:
    """Something that happened to a pool.

    Attributes:
        kind: ``exhausted`` (no connection within the wait), ``exceeded`` (one more than the soft limit was opened) or
            ``resized``.
        pool: The pool's name.
        limit: Its limit.
        used: Connections lent out.
        waited_s: How long the caller waited.
        reason: Why, in words.
    """

    kind: str
    pool: str
    limit: int | None = None
    used: int = 0
    waited_s: float = 0.0
    reason: str = ""


Source = Callable[[], Iterable[PoolStats]]


class PoolSources:
    """Where pools are asked about, and who is told of what happens to them."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._on_event: list[Callable[[PoolEvent], None]] = []
        self.on_created: list[Callable[[str, float], None]] = []
        """``call(pool name, seconds)`` for each connection opened."""
        self.on_waited: list[Callable[[str, float], None]] = []
        """``call(pool name, seconds)`` for each use, with the time until there was a connection."""
        self.on_used: list[Callable[[str, float], None]] = []
        """``call(pool name, seconds)`` for each connection given back."""
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Make a new lock in a forked child."""
        self._lock = threading.RLock()

    def add_source(self, source: Source) -> None:
        """Ask ``source`` too."""
        with self._lock:
            if source not in self._sources:
                self._sources.append(source)

    def remove_source(self, source: Source) -> None:
        """Ask ``source`` no more."""
        with self._lock:
            if source in self._sources:
                self._sources.remove(source)

    def read(self) -> list[PoolStats]:
        """All pools now, by name."""
        found = [stats for source in tuple(self._sources) for stats in source()]
        return sorted(found, key=lambda stats: stats.name)

    def listen(self, listener: Callable[[PoolEvent], None]) -> None:
        """Tell ``listener`` of events."""
        self._on_event.append(listener)

    def forget(self, listener: Callable[[PoolEvent], None]) -> None:
        """Tell ``listener`` no more."""
        if listener in self._on_event:
            self._on_event.remove(listener)

    def notify(self, event: PoolEvent) -> None:
        """Something happened."""
        for listener in tuple(self._on_event):
            try:
                listener(event)
            except Exception as fault:
                _log.debug("redispan: a pool listener failed: %s", type(fault).__name__)

    def call(self, listeners: list[Callable[[str, float], None]], name: str, seconds: float) -> None:
        """Tell the listeners of one kind."""
        for listener in tuple(listeners):
            try:
                listener(name, seconds)
            except Exception as fault:
                _log.debug("redispan: a pool listener failed: %s", type(fault).__name__)
