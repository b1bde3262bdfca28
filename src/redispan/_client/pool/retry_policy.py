"""What may be repeated, and until when: plain decisions, shared by every kind of retry."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from contextvars import ContextVar
from typing import Any

from redispan._client.pool.values import settings_in_force
from redispan._core import observing
from redispan._core.commands import CommandInfo
from redispan._core.slot import SLOT

_READ_REPEATS = 2
"""How often a read that failed in transit is repeated."""

_NEVER = frozenset(
    {"AuthenticationError", "AuthenticationWrongNumberOfArgsError", "AuthorizationError", "MaxConnectionsError"}
)
_REJECTED = frozenset({"BusyLoadingError", "MasterDownError", "ReadOnlyError", "TryAgainError", "ClusterDownError"})
"""The server said that it did nothing."""
_TROUBLE = frozenset({"ConnectionError", "TimeoutError", "OSError"}) | _REJECTED
"""The network, or a server that can't serve yet."""

operation_until_s: ContextVar[float | None] = ContextVar("redispan_operation_until", default=None)
"""When a cluster operation must have ended: what it does inside counts as the client's housekeeping."""


def mark_unsent(error: BaseException) -> None:
    """Note on ``error`` that the program's command had not been written when it came up."""
    try:
        error.redispan_unsent = True  # type: ignore[attr-defined]
    except Exception:
        return


def is_unsent(error: BaseException) -> bool:
    """Whether the program's command had not been written when ``error`` came up."""
    return bool(getattr(error, "redispan_unsent", False))


def may_repeat(error: BaseException, sent: CommandInfo | None, *, listener: bool = False) -> bool:
    """Whether repeating is certain not to make anything run twice.

    Args:
        error: What went wrong.
        sent: The command, or the stand-in of a batch, last packed for the connection.
        listener: The connection is subscribed: reading on is all there is to repeat.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _NEVER:
        return False
    if is_unsent(error) or listener:
        return True
    if sent is None:
        return False
    if names & _REJECTED:
        # Of a batch, other commands may have been done.
        return sent.replay_safe or not sent.name.endswith("_BATCH")
    return sent.replay_safe


def is_trouble(error: BaseException) -> bool:
    """Whether ``error`` is of the network or of a server that can't serve yet, rather than of what was asked for."""
    return any(cls.__name__ in _TROUBLE for cls in type(error).__mro__)


def is_ambiguous(error: BaseException) -> bool:
    """Whether the command may have been done."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return not is_unsent(error) and not names & _REJECTED


class Budget:
    """Spreads retries: at most ``pool_retries_per_s`` to one place, after a burst of as many.

    More are delayed rather than refused, so that a short outage which the library would have bridged stays bridged,
    while a recovering server sees a trickle instead of a storm.
    """

    _PLACES = 1000

    def __init__(self) -> None:
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Forget what was spent: a forked child starts afresh."""
        self._lock = threading.RLock()
        self._next: OrderedDict[object, float] = OrderedDict()

    def delay_s(self, place: object) -> float:
        """Reserve one retry and say how long to wait for it."""
        now = time.monotonic()
        step = 1.0 / settings_in_force().pool_retries_per_s
        with self._lock:
            due = max(self._next.pop(place, 0.0), now - 1.0) + step
            self._next[place] = due
            if len(self._next) > self._PLACES:
                self._next.popitem(last=False)
        return max(0.0, due - now)


class Attempts:
    """One operation's repeated attempts: how many, until when, with which pauses."""

    def __init__(self, place: object, *, most: int, until_s: float | None, read_repeats: int = _READ_REPEATS) -> None:
        """Start counting, after the first failure.

        Args:
            place: The server, for the budget.
            most: Most repetitions.
            until_s: Moment (monotonic) by which the last attempt must have ended; None for no bound.
            read_repeats: Most repetitions after the command may have been done.
        """
        self._place = place
        self._most = most
        self._until_s = until_s
        self._read_repeats = read_repeats
        self._slowest_s = 0.0
        self.made = 0
        self.started_s = time.monotonic()

    def attempt_begins(self) -> None:
        """An attempt is made now."""
        self.started_s = time.monotonic()

    def next_pause_s(self, error: BaseException) -> float | None:
        """How long to pause before repeating, or None to give up."""
        now = time.monotonic()
        self._slowest_s = max(self._slowest_s, now - self.started_s)
        self.made += 1
        if self.made > (min(self._most, self._read_repeats) if is_ambiguous(error) else self._most):
            return None
        ceiling = min(1.0, 0.02 * 2.0 ** min(self.made, 10))
        pause = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret
        # Without the time for another attempt as slow as the slowest yet, repeating would overrun the bound.
        if self._until_s is not None and now + pause + self._slowest_s > self._until_s:
            return None
        pause = max(pause, SLOT.runtime.part("retry_budget", Budget).delay_s(self._place))
        if self._until_s is not None and now + pause + self._slowest_s > self._until_s:
            return None
        return pause


def deadline_s(seconds: float, since_s: float | None = None) -> float | None:
    """When (monotonic) the operation in progress must have ended; counted from now where none is known."""
    if not seconds:
        return None
    now = time.monotonic()
    until_s = operation_until_s.get()
    if until_s is not None:
        return until_s
    operation = observing.running()
    if operation is None or not operation.start_ns:
        return (now if since_s is None else since_s) + seconds
    return now + seconds - (time.perf_counter_ns() - operation.start_ns) / 1e9


def deadline_of(connection: Any) -> float | None:
    """When the operation that opens ``connection`` must have ended, if there is one with a deadline."""
    until_s = operation_until_s.get()
    if until_s is not None:
        return until_s
    state = connection.redispan_pool_state
    operation = observing.waiting()
    if state is None or operation is None or not operation.start_ns or not state.settings.pool_deadline_s:
        return None
    return deadline_s(state.settings.pool_deadline_s)


def note_pause(pause_s: float) -> None:
    """The operation in progress pauses before an attempt more."""
    operation = observing.waiting()
    if operation is not None:
        operation.backoff_ns += int(pause_s * 1e9)
        operation.pool_retries += 1
        operation.remarkable = True


def place_of(connection: Any) -> object:
    """The server a connection points at, for the budget."""
    return (getattr(connection, "host", None) or getattr(connection, "path", None), getattr(connection, "port", None))


class Contexts:
    """Remembers what the latest error was raised in, and puts it back when that error leaves the block."""

    __slots__ = ("_context", "_error")

    def __init__(self, error: BaseException) -> None:
        """Start with the first failure."""
        self._error: BaseException | None = None
        self._context: BaseException | None = None
        self.note(error)

    def note(self, error: BaseException) -> None:
        """An attempt failed; what is told of the same error again, when it was raised anew, changes nothing."""
        if error is not self._error:
            self._error, self._context = error, error.__context__

    def __enter__(self) -> Contexts:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None and error is self._error:
            error.__context__ = self._context
        self._error = self._context = None
