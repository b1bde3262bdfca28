"""The rolling statistics of this process: one pair of windows per endpoint, answers and blocking commands apart."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from time import perf_counter_ns, time_ns
from typing import Any, Protocol

from redispan._core.operation import OTHER_ENDPOINTS, Endpoint
from redispan._insight.window import Entry, Totals, Window

ENDPOINTS_LIMIT = 64
_ALIASES_LIMIT = 2000
WINDOW_SIZE = 1000

_NOTHING = sys.maxsize
"""More operations than there ever are."""


class Follower(Protocol):
    """Someone who keeps up with what is new."""

    def seen(self, label: str) -> int:
        """How many operations of an endpoint it knows."""

    def follow(self, label: str, entries: list[Entry], totals: Totals, to_unix_ns: int) -> None:
        """What there is by now: at least all entries that it didn't know, as far as the window holds them."""


class EndpointWindows:
    """The operations of one endpoint.

    Attributes:
        label: ``host:port/db``, for people.
        endpoint: The endpoint that it was opened for.
        answers: Operations that the server answers at once: what latency means.
        blocking: Commands that ask the server to hold its answer: they are no measure of anything but themselves.
        last_error_ns: When an operation failed last: without it nobody has to count errors every second.
    """

    __slots__ = ("answers", "blocking", "endpoint", "label", "last_error_ns")

    def __init__(self, label: str, endpoint: Endpoint, size: int) -> None:
        self.label = label
        self.endpoint = endpoint
        self.answers = Window(size)
        self.blocking = Window(size)
        self.last_error_ns: int | None = None


class Statistics:
    """Windows by endpoint, at most ``ENDPOINTS_LIMIT`` of them; the rest shares one."""

    def __init__(
        self,
        size: int = WINDOW_SIZE,
        clock_ns: Callable[[], int] = perf_counter_ns,
        wall_ns: Callable[[], int] = time_ns,
    ) -> None:
        """Start from nothing.

        Args:
            size: Operations per window.
            clock_ns: The clock of the operations' times.
            wall_ns: The time of day, for what leaves the process.
        """
        self.size = size
        self.clock_ns = clock_ns
        self.wall_ns = wall_ns
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a forked child, which would report its parent's operations, and in tests."""
        self._lock = threading.RLock()
        self._labels: dict[str, EndpointWindows] = {}
        self.started_unix_ns = self.wall_ns()
        self.by_endpoint: dict[Endpoint, EndpointWindows] = {}
        """Read by the observer; ``open`` adds to it."""

    def resize(self, size: int) -> None:
        """Show another number of operations from now on."""
        with self._lock:
            self.size = size
            for windows in self._labels.values():
                windows.answers.resize(size)
                windows.blocking.resize(size)

    def open(self, endpoint: Endpoint) -> EndpointWindows:
        """The windows of ``endpoint``, whose first operation this is."""
        label = endpoint.label
        with self._lock:
            windows = self._labels.get(label)
            if windows is None:
                shown = endpoint
                if len(self._labels) >= ENDPOINTS_LIMIT:
                    shown = OTHER_ENDPOINTS
                    label = shown.label
                windows = self._labels.setdefault(label, EndpointWindows(label, shown, self.size))
            if len(self.by_endpoint) < _ALIASES_LIMIT:
                self.by_endpoint[endpoint] = windows
        return windows

    def all(self) -> list[EndpointWindows]:
        """The windows of every endpoint."""
        with self._lock:
            return list(self._labels.values())

    def snapshot(self, follower: Follower | None = None, *, windows: bool = True) -> dict[str, Any]:
        """Everything as plain data with times of day, ready to be sent to another process and merged there.

        Args:
            follower: Told of each endpoint's answers.
            windows: Whether to show the windows: that is most of the work.
        """
        to_unix_ns = self.wall_ns() - self.clock_ns()
        found: dict[str, Any] = {}
        for one in self.all():
            known = follower.seen(one.label) if follower is not None else _NOTHING
            answers = one.answers.read(0 if windows else known)
            blocking = one.blocking.read(0 if windows else _NOTHING)
            if follower is not None:
                follower.follow(one.label, answers[0], answers[1], to_unix_ns)
            found[one.label] = {
                "address": one.endpoint.address,
                "port": one.endpoint.port,
                "db": one.endpoint.db,
                "answers": _window_data(answers, to_unix_ns, windows=windows),
                "blocking": _window_data(blocking, to_unix_ns, windows=windows),
            }
        return found


def _window_data(read: tuple[list[Entry], Totals, dict[str, int]], to_unix_ns: int, *, windows: bool) -> dict[str, Any]:
    entries, totals, error_types = read
    return {
        "window": [[end_ns + to_unix_ns, *rest] for end_ns, *rest in entries] if windows else [],
        "totals": totals,
        "error_types": error_types,
    }
