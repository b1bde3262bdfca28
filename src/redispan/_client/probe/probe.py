"""``Probe``: reads the figures of each server in one process of the host and shares them through files.

The process that holds the lock of a server visits that server and writes a file. The other processes read the file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from redispan._client.probe import targets
from redispan._client.probe.targets import Place
from redispan._client.probe.visit import Visits, name_of
from redispan._core.records import ServerReading
from redispan._host.chore import Chore
from redispan._host.folder import write_whole
from redispan._host.role_lock import RoleLock

_log = logging.getLogger("redispan")

FIRST_AFTER_S = 1.0
"""The shortest time before the first probe, in seconds. A script that ends sooner never probes."""
_LONGEST_PAUSE_S = 5.0
"""The longest pause between two rounds, in seconds, before jitter.

It is also how long it takes until another process takes over when the probing process has ended.
"""
STALE_AFTER_INTERVALS = 4
"""A reading that is older than this many probe intervals is ignored."""
_STOPPING_S = 2.0
"""How long ``stop`` waits for a visit to a server that doesn't answer, in seconds."""
_KEPT_S = 24 * 3600.0
"""How long a server's files stay after the last probe of that server by any process of the host, in seconds."""


class Probe(Chore):
    """The servers' figures, read by this process or by a sibling process.

    A probe is a chore: calling it starts its thread.
    """

    def __init__(
        self,
        interval_s: float,
        quiet: Callable[[], AbstractContextManager[None]],
        *,
        on_reading: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare the probe. The first call starts its thread.

        Args:
            interval_s: Time between two visits to a server, in seconds.
            quiet: Returns a context manager that suppresses instrumentation, so that a visit appears in no telemetry.
            on_reading: Called when this process has read a server's figures.
        """
        self.interval_s = interval_s
        self._quiet = quiet
        self._on_reading = on_reading
        self._reset()

    def _reset(self) -> None:
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._own: dict[Place, ServerReading] = {}
        self._others: dict[Place, ServerReading] = {}
        self._due_s: dict[Place, float] = {}
        self._locks: dict[Place, RoleLock] = {}
        self._visits = Visits()

    def __call__(self, folder: Path | None) -> None:
        """Start the thread, unless it runs already or there is no server to probe.

        Args:
            folder: The folder of this service on the host. The probe's files go to its parent folder. If it is None,
                the probe shares nothing with other processes.
        """
        if self._thread is None and targets.all_places():
            # The parent holds the folders of all services, so programs of one user share the probe of a server.
            shared = folder.parent if folder is not None else None
            self._thread = threading.Thread(
                target=self._run, args=(shared, self._stopping), name="redispan-probe", daemon=True
            )
            self._thread.start()

    def read(self) -> list[ServerReading]:
        """Return each server's latest reading, by this process or a sibling process. Stale readings are left out."""
        oldest_ns = time.time_ns() - int(STALE_AFTER_INTERVALS * self.interval_s * 1e9)
        found = {**self._others, **self._own}
        return [reading for reading in found.values() if reading.at_unix_ns >= oldest_ns]

    def own(self) -> list[ServerReading]:
        """Return the readings that this process made itself. No other process of the host reports on these servers."""
        return list(self._own.values())

    def _run(self, shared: Path | None, stopping: threading.Event) -> None:
        # The event is an argument: if the probe is stopped before its thread runs, self._stopping is a new event.
        if shared is not None:
            sweep(shared)
        pause_s = FIRST_AFTER_S * _spread(1.0, 1.5)
        while not stopping.wait(pause_s):
            places = targets.all_places()
            self._leave_all_but(places)
            for place in places:
                try:
                    self._look_at(place, shared)
                except Exception as fault:
                    _log.debug("redispan: a probe failed: %s", type(fault).__name__)
            # The jitter spreads the probes of processes that were started together.
            pause_s = min(self.interval_s / 3, _LONGEST_PAUSE_S) * _spread(0.8, 1.2)

    def _leave_all_but(self, places: list[Place]) -> None:
        """Drop the readings and locks of servers that the program no longer uses, as after a failover."""
        gone = set(self._locks) | set(self._own) | set(self._others)
        for place in gone.difference(places):
            self._own.pop(place, None)
            self._others.pop(place, None)
            self._due_s.pop(place, None)
            lock = self._locks.pop(place, None)
            if lock is not None:
                lock.forget()

    def _look_at(self, place: Place, shared: Path | None) -> None:
        if shared is not None and not self._lock(place, shared).acquire():
            self._own.pop(place, None)
            reading = _written(_file(place, shared, "json"))
            if reading is not None:
                self._others[place] = reading
            return
        now_s = time.monotonic()
        if now_s < self._due_s.get(place, 0.0):
            return
        self._due_s[place] = now_s + self.interval_s * _spread(0.85, 1.0)
        with self._quiet():
            reading = self._visits.visit(place)
        if reading is None:
            return
        self._own[place] = reading
        if shared is not None:
            write_whole(_file(place, shared, "json"), json.dumps(asdict(reading)).encode())
        self._on_reading()

    def _lock(self, place: Place, shared: Path) -> RoleLock:
        lock = self._locks.get(place)
        if lock is None:
            lock = self._locks[place] = RoleLock(_file(place, shared, "lock"))
        return lock

    def stop(self) -> None:
        """End the thread and release the locks, so that another process can probe."""
        thread = self._thread
        self._stopping.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOPPING_S)
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Drop all state and locks in a forked child, whose own first operation starts its own probe."""
        locks = list(self._locks.values())
        self._reset()
        for lock in locks:
            lock.forget()


def sweep(shared: Path) -> None:
    """Remove the files of servers that no process has probed for a day. File errors are logged at debug level.

    Call it before this process holds a lock. Opening and closing a lock file that it holds would release the lock.

    Args:
        shared: The folder of the probe's files.
    """
    oldest_s = time.time() - _KEPT_S
    try:
        for path in shared.glob("probe-*.lock"):
            figures = path.with_suffix(".json")
            if any(one.exists() and one.stat().st_mtime > oldest_s for one in (path, figures)):
                continue
            lock = RoleLock(path)
            if lock.acquire():
                figures.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
                lock.forget()
    except OSError as fault:
        _log.debug("redispan: old figures of servers stay: %s", type(fault).__name__)


def _file(place: Place, shared: Path, kind: str) -> Path:
    digest = hashlib.sha256(name_of(place).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return shared / f"probe-{digest}.{kind}"


def _written(path: Path) -> ServerReading | None:
    try:
        return ServerReading(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _spread(low: float, high: float) -> float:
    """Return a random factor between ``low`` and ``high``."""
    return random.uniform(low, high)  # noqa: S311 - for timing, not for secrets
