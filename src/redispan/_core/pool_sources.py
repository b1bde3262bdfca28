"""The figures and the events of connection pools: ``PoolStats``, ``PoolEvent`` and the sources that supply them.

No figures of pools are stored here. A source computes them each time that it is read, and it references its pools
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
    """The figures of one pool at one moment.

    Attributes:
        name: ``host:port/db``, ``service/db`` or ``path/db``; further pools for the same target get ``#2`` and so on.
        kind: ``pool``, ``blocking`` or ``cluster_node``.
        used: The connections that are lent out now.
        idle: The connections that are open and free now.
        parked: The used connections that are in a blocking read or a subscription.
        limit: The most connections that the pool makes; None if there is no meaningful limit.
        soft: Whether the limit comes from redispan and may be exceeded.
        pending: The callers that wait for a connection now.
        timeouts: The waits that ended without a connection.
        waits: The waits for a connection.
        wait_s: The total time of these waits in seconds.
        exceeded: The connections opened beyond a soft limit.
        exhausted: The calls that did not get a connection at once.
        created: The connections opened.
        connect_failures: The connections that could not be opened.
        uses: How many times a connection was lent out.
        closed: The connections closed, by reason.
        tuned: Whether redispan tunes the pool.
        values: The settings of its connections in effect, for display.
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
        """How many times a connection that was open already was lent out."""
        return max(0, self.uses - self.created)


@dataclass(frozen=True)
class PoolEvent:
    """An event of a pool.

    Attributes:
        kind: ``exhausted`` (the wait ended without a connection), ``exceeded`` (a connection beyond the soft limit was
            opened) or ``resized``.
        pool: The name of the pool.
        limit: The limit of the pool.
        used: The connections that are lent out.
        waited_s: The seconds that the caller waited.
        reason: The reason in words.
    """

    kind: str
    pool: str
    limit: int | None = None
    used: int = 0
    waited_s: float = 0.0
    reason: str = ""


Source = Callable[[], Iterable[PoolStats]]


class PoolSources:
    """The sources of the figures of pools, and the listeners that are notified of events of pools."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._on_event: list[Callable[[PoolEvent], None]] = []
        self.on_created: list[Callable[[str, float], None]] = []
        """Called with the name of the pool and the seconds to connect, for each connection opened."""
        self.on_waited: list[Callable[[str, float], None]] = []
        """Called with the name of the pool and the seconds until a connection was available, for each use."""
        self.on_used: list[Callable[[str, float], None]] = []
        """Called with the name of the pool and the seconds of the use, for each connection that is returned."""
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Make a new lock in a forked child; keep the sources and the listeners."""
        self._lock = threading.RLock()

    def add_source(self, source: Source) -> None:
        """Include ``source`` in ``read``; adding it twice changes nothing."""
        with self._lock:
            if source not in self._sources:
                self._sources.append(source)

    def remove_source(self, source: Source) -> None:
        """Remove ``source`` from ``read``."""
        with self._lock:
            if source in self._sources:
                self._sources.remove(source)

    def read(self) -> list[PoolStats]:
        """Return the current figures of all pools, sorted by name."""
        found = [stats for source in tuple(self._sources) for stats in source()]
        return sorted(found, key=lambda stats: stats.name)

    def listen(self, listener: Callable[[PoolEvent], None]) -> None:
        """Notify ``listener`` of every event from now on."""
        self._on_event.append(listener)

    def forget(self, listener: Callable[[PoolEvent], None]) -> None:
        """Stop notifying ``listener``."""
        if listener in self._on_event:
            self._on_event.remove(listener)

    def notify(self, event: PoolEvent) -> None:
        """Notify every listener of ``event``; a listener that raises is logged at debug level."""
        for listener in tuple(self._on_event):
            try:
                listener(event)
            except Exception as fault:
                _log.debug("redispan: a pool listener failed: %s", type(fault).__name__)

    def call(self, listeners: list[Callable[[str, float], None]], name: str, seconds: float) -> None:
        """Call the given listeners, such as ``on_created``, with the name of the pool and the seconds."""
        for listener in tuple(listeners):
            try:
                listener(name, seconds)
            except Exception as fault:
                _log.debug("redispan: a pool listener failed: %s", type(fault).__name__)
