"""The rules for what may be repeated and until when, shared by every kind of retry, and the retry budget."""

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
"""How often redispan repeats a read whose connection failed before the reply."""

_NEVER = frozenset(
    {"AuthenticationError", "AuthenticationWrongNumberOfArgsError", "AuthorizationError", "MaxConnectionsError"}
)
_REJECTED = frozenset({"BusyLoadingError", "MasterDownError", "ReadOnlyError", "TryAgainError", "ClusterDownError"})
"""Errors with which the server reports that it did not run the command."""
_TROUBLE = frozenset({"ConnectionError", "TimeoutError", "OSError"}) | _REJECTED
"""Errors of the network, or of a server that can't serve yet."""

operation_until_s: ContextVar[float | None] = ContextVar("redispan_operation_until", default=None)
"""When (monotonic) the cluster operation in progress must have ended.

The commands that the operation runs inside it count as client-internal commands.
"""


def mark_unsent(error: BaseException) -> None:
    """Mark ``error`` as raised before the program's command was written to the connection."""
    try:
        error.redispan_unsent = True  # type: ignore[attr-defined]
    except Exception:
        return


def is_unsent(error: BaseException) -> bool:
    """Return whether ``error`` was raised before the program's command was written to the connection."""
    return bool(getattr(error, "redispan_unsent", False))


def may_repeat(error: BaseException, sent: CommandInfo | None, *, listener: bool = False) -> bool:
    """Return whether repeating is certain not to run any command twice.

    Args:
        error: The failure.
        sent: The command last packed for the connection, or ``SAFE_BATCH`` or ``UNSAFE_BATCH`` for a batch.
        listener: Whether the connection is subscribed; then repeating only means to read on.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & _NEVER:
        return False
    if is_unsent(error) or listener:
        return True
    if sent is None:
        return False
    if names & _REJECTED:
        # The server may have run other commands of the batch.
        return sent.replay_safe or not sent.name.endswith("_BATCH")
    return sent.replay_safe


def is_trouble(error: BaseException) -> bool:
    """Return whether ``error`` comes from the network or a server that can't serve yet, and not from the command."""
    return any(cls.__name__ in _TROUBLE for cls in type(error).__mro__)


def is_ambiguous(error: BaseException) -> bool:
    """Return whether the server may have run the command before ``error``."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return not is_unsent(error) and not names & _REJECTED


class Budget:
    """A rate limit for retries: at most ``rate_per_s`` for each server, after a burst of as many.

    The budget delays further retries and does not refuse them. So the program still gets through a short outage that
    the library's retries would have covered, while a recovering server gets its retries spread over time.

    Attributes:
        rate_per_s: Retries for each server and second; ``pool_retries_per_s`` sets it.
    """

    _PLACES = 1000

    def __init__(self) -> None:
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Clear the budget, as a forked child does."""
        self._lock = threading.RLock()
        self._next: OrderedDict[object, float] = OrderedDict()

    def delay_s(self, place: object) -> float:
        """Reserve one retry to ``place``, and return how long to wait before it, in seconds."""
        now = time.monotonic()
        step = 1.0 / settings_in_force().pool_retries_per_s
        with self._lock:
            due = max(self._next.pop(place, 0.0), now - 1.0) + step
            self._next[place] = due
            if len(self._next) > self._PLACES:
                self._next.popitem(last=False)
        return max(0.0, due - now)


class Attempts:
    """The repeated attempts of one operation: how many, until when, and with which pauses.

    Attributes:
        made: The failures so far.
        started_s: When (monotonic) the present attempt began.
    """

    def __init__(self, place: object, *, most: int, until_s: float | None, read_repeats: int = _READ_REPEATS) -> None:
        """Start counting, after the first failure.

        Args:
            place: The server, for the budget.
            most: The most repetitions.
            until_s: When (monotonic) the last attempt must have ended; None for no bound.
            read_repeats: The most repetitions after a failure that leaves open whether the server ran the command.
        """
        self._place = place
        self._most = most
        self._until_s = until_s
        self._read_repeats = read_repeats
        self._slowest_s = 0.0
        self.made = 0
        self.started_s = time.monotonic()

    def attempt_begins(self) -> None:
        """Note that an attempt begins now."""
        self.started_s = time.monotonic()

    def next_pause_s(self, error: BaseException) -> float | None:
        """Count a failure, and return how long to pause before the next attempt, in seconds, or None to give up."""
        now = time.monotonic()
        self._slowest_s = max(self._slowest_s, now - self.started_s)
        self.made += 1
        if self.made > (min(self._most, self._read_repeats) if is_ambiguous(error) else self._most):
            return None
        ceiling = min(1.0, 0.02 * 2.0 ** min(self.made, 10))
        pause = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret
        # The next attempt is expected to take as long as the slowest one so far.
        if self._until_s is not None and now + pause + self._slowest_s > self._until_s:
            return None
        pause = max(pause, SLOT.runtime.part("retry_budget", Budget).delay_s(self._place))
        if self._until_s is not None and now + pause + self._slowest_s > self._until_s:
            return None
        return pause


def deadline_s(seconds: float, since_s: float | None = None) -> float | None:
    """Return when (monotonic) the operation in progress must have ended; None for no deadline.

    Args:
        seconds: The deadline of an operation; 0 for none. A cluster operation has its own.
        since_s: When (monotonic) an operation that redispan does not record began; None for now.
    """
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
    """Return when (monotonic) the operation that opens ``connection`` must have ended; None without a deadline."""
    until_s = operation_until_s.get()
    if until_s is not None:
        return until_s
    state = connection.redispan_pool_state
    operation = observing.waiting()
    if state is None or operation is None or not operation.start_ns or not state.settings.pool_deadline_s:
        return None
    return deadline_s(state.settings.pool_deadline_s)


def note_pause(pause_s: float) -> None:
    """Count a pause of ``pause_s`` and a retry on the operation in progress."""
    operation = observing.waiting()
    if operation is not None:
        operation.backoff_ns += int(pause_s * 1e9)
        operation.pool_retries += 1
        operation.remarkable = True


def place_of(connection: Any) -> object:
    """Return the server of a connection, as ``(host or path, port)``, for the budget."""
    return (getattr(connection, "host", None) or getattr(connection, "path", None), getattr(connection, "port", None))


class Contexts:
    """A context manager that restores the ``__context__`` of the last noted error if that error leaves the block."""

    __slots__ = ("_context", "_error")

    def __init__(self, error: BaseException) -> None:
        """Start with the first failure."""
        self._error: BaseException | None = None
        self._context: BaseException | None = None
        self.note(error)

    def note(self, error: BaseException) -> None:
        """Note the error of a failed attempt. Noting the same error again, when it is re-raised, changes nothing."""
        if error is not self._error:
            self._error, self._context = error, error.__context__

    def __enter__(self) -> Contexts:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None and error is self._error:
            error.__context__ = self._context
        self._error = self._context = None
