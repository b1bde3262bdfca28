"""The rolling statistics of this process: two windows per endpoint, one of them for blocking commands only."""

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
"""A count that no window reaches: reading a window from there on returns no operation."""


class Follower(Protocol):
    """A consumer of the new operations of every endpoint, such as ``Slices``."""

    def seen(self, label: str) -> int:
        """Return how many operations of an endpoint the follower already has."""

    def follow(self, label: str, entries: list[Entry], totals: Totals, to_unix_ns: int) -> None:
        """Receive the current state of an endpoint.

        ``entries`` has at least all operations that are new to the follower, as far as the window still holds them.
        """


class EndpointWindows:
    """The operations of one endpoint.

    Attributes:
        label: ``host:port/db``, as messages and reports show it.
        endpoint: The endpoint whose first operation opened the windows.
        answers: The operations that the server answers at once. Latency figures come from these.
        blocking: The blocking commands, which ask the server to delay its answer. Their latency is reported separately.
        last_error_ns: When an operation last failed. Without a recent failure redispan need not count errors.
    """

    __slots__ = ("answers", "blocking", "endpoint", "label", "last_error_ns")

    def __init__(self, label: str, endpoint: Endpoint, size: int) -> None:
        self.label = label
        self.endpoint = endpoint
        self.answers = Window(size)
        self.blocking = Window(size)
        self.last_error_ns: int | None = None


class Statistics:
    """The windows by endpoint, for at most ``ENDPOINTS_LIMIT`` endpoints. All further endpoints share one entry."""

    def __init__(
        self,
        size: int = WINDOW_SIZE,
        clock_ns: Callable[[], int] = perf_counter_ns,
        wall_ns: Callable[[], int] = time_ns,
    ) -> None:
        """Create statistics without any windows.

        Args:
            size: Operations per window.
            clock_ns: The clock that the operations' times come from.
            wall_ns: The time of day, for data that leaves the process.
        """
        self.size = size
        self.clock_ns = clock_ns
        self.wall_ns = wall_ns
        self.reset()

    def reset(self) -> None:
        """Forget all operations: in a forked child, which would otherwise report those of its parent, and in tests."""
        self._lock = threading.RLock()
        self._labels: dict[str, EndpointWindows] = {}
        self.started_unix_ns = self.wall_ns()
        self.by_endpoint: dict[Endpoint, EndpointWindows] = {}
        """The windows by endpoint. The observer reads it, and ``open`` adds to it."""

    def resize(self, size: int) -> None:
        """Change the number of operations per window."""
        with self._lock:
            self.size = size
            for windows in self._labels.values():
                windows.answers.resize(size)
                windows.blocking.resize(size)

    def open(self, endpoint: Endpoint) -> EndpointWindows:
        """Return the windows of ``endpoint``, and create them if they do not exist."""
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
        """Return the windows of every endpoint."""
        with self._lock:
            return list(self._labels.values())

    def snapshot(self, follower: Follower | None = None, *, windows: bool = True) -> dict[str, Any]:
        """Return all figures as plain data with times of day, for another process to merge.

        Args:
            follower: Receives the new operations of each endpoint, without blocking commands.
            windows: Whether to include the operations of the windows, which is most of the work.
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
