"""The deadline of an operation in trouble: whatever it still waits for gets the time that is left, and no more.

On a good path nothing of this runs. While a connection is being opened, while a cluster's topology is read, and from an
operation's first failure in a cluster on, the process is *in haste*: each command that is packed looks whether its own
operation is short of time. Only timeouts that redispan chose are ever shortened.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from redispan._client.internals import clients, connection_pools
from redispan._client.pool import block_budget, retry_policy
from redispan._client.pool.values import TunedSeconds, settings_in_force
from redispan._core.slot import SLOT

Method = Callable[..., Any]

_SHORTEST_S = 0.05
"""Less would make a server that answers look like one that doesn't."""
_AT_ONCE_S = 0.002
"""What a further address of a name gets when the time is over; 0 would not wait but fail differently."""

reading_topology: ContextVar[bool] = ContextVar("redispan_reading_topology", default=False)
"""A cluster's topology is being read."""


class DeadlinePressure:
    """How many operations of this process are short of time, or may be."""

    def __init__(self) -> None:
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Count from zero in a forked child, which lacks the threads that would end the parent's operations."""
        self._lock = threading.RLock()
        self._count = 0
        block_budget.hasten = None

    def begin(self) -> None:
        """One more operation watches its deadline."""
        with self._lock:
            self._count += 1
            block_budget.hasten = hasten

    def end(self) -> None:
        """One operation fewer watches its deadline."""
        with self._lock:
            # Not below: what was begun before a fork may end in the child.
            self._count = max(0, self._count - 1)
            if not self._count:
                block_budget.hasten = None


def deadline_pressure() -> DeadlinePressure:
    """The deadline pressure of this process."""
    return SLOT.runtime.part("deadline_pressure", DeadlinePressure)


class Until(float):
    """The moment (monotonic) by which a cluster operation must have ended.

    Attributes:
        in_haste: It failed once already.
        attempt_s: When its present attempt began, or the attempt before that ended.
    """

    in_haste = False
    attempt_s = 0.0


def begin_operation(seconds: float) -> Any:
    """A cluster operation begins that must end within ``seconds``; 0 for no bound."""
    if not seconds:
        return retry_policy.operation_until_s.set(None)
    now = time.monotonic()
    until_s = Until(now + seconds)
    until_s.attempt_s = now
    return retry_policy.operation_until_s.set(until_s)


def end_operation(token: Any) -> None:
    """It ended."""
    until_s = retry_policy.operation_until_s.get()
    if isinstance(until_s, Until) and until_s.in_haste:
        until_s.in_haste = False
        deadline_pressure().end()
    try:
        retry_policy.operation_until_s.reset(token)
    except ValueError:
        return  # a coroutine closed from another context: there is nothing to go back to


def is_another_attempt_too_long() -> bool:
    """Whether the cluster operation would be over time after one more attempt like the one that failed just now."""
    until_s = retry_policy.operation_until_s.get()
    if not isinstance(until_s, Until):
        return False
    now = time.monotonic()
    took_s, until_s.attempt_s = now - until_s.attempt_s, now
    return now + took_s > until_s


def operation_failed() -> None:
    """One attempt of the cluster operation failed, and another may follow."""
    until_s = retry_policy.operation_until_s.get()
    if isinstance(until_s, Until) and not until_s.in_haste:
        until_s.in_haste = True
        deadline_pressure().begin()


def hasten(connection: Any) -> None:
    """A command is being packed for ``connection``: its reply may take what is left of the operation's time."""
    base = connection.socket_timeout
    if not isinstance(base, TunedSeconds) or connection.redispan_hold is not None:
        return
    until_s = connection.redispan_until_s or retry_policy.operation_until_s.get()
    if not until_s:
        return
    left_s = until_s - time.monotonic()
    if left_s >= base:
        return
    if left_s <= 0 and reading_topology.get():
        raise _too_late(connection)
    block_budget.begin(connection, block_budget.Hold(base, max(_SHORTEST_S, left_s), parked=False, sticky=False))


def _too_late(connection: Any) -> BaseException:
    exceptions: Any = clients.load(connection_pools.package_of(connection), "exceptions")
    error: BaseException = exceptions.TimeoutError("No time left to read the cluster's topology")
    retry_policy.mark_unsent(error)
    return error


class TimeLeft:
    """``socket_connect_timeout`` of connections: while one is opened, not more than is left.

    redis-py asks for it once for each address of a name, so that several addresses that never answer count together.
    """

    def __init__(self, original: Any) -> None:
        """Stand in front of ``original``, the class's own descriptor, if it has one."""
        self._original = original

    def __get__(self, connection: Any, owner: Any = None) -> Any:
        if connection is None:
            return self if self._original is None else self._original
        timeout = self._read(connection, owner)
        until_s = connection.redispan_until_s
        if not until_s or type(timeout) is not TunedSeconds:
            return timeout
        left_s = until_s - time.monotonic()
        if left_s >= timeout:
            return timeout
        return max(_SHORTEST_S, left_s) if left_s > 0 else _AT_ONCE_S

    def _read(self, connection: Any, owner: Any) -> Any:
        if self._original is not None:
            return self._original.__get__(connection, owner)
        try:
            return vars(connection)["socket_connect_timeout"]
        except KeyError:
            raise AttributeError("socket_connect_timeout") from None

    def __set__(self, connection: Any, value: Any) -> None:
        if self._original is not None:
            self._original.__set__(connection, value)
        else:
            vars(connection)["socket_connect_timeout"] = value


@contextlib.contextmanager
def _topology() -> Iterator[None]:
    own, settings = None, settings_in_force()
    if retry_policy.operation_until_s.get() is None and settings.pool == "tuned" and settings.pool_deadline_s:
        own = begin_operation(settings.pool_deadline_s)
    token = reading_topology.set(True)
    deadline_pressure().begin()
    try:
        yield
    finally:
        deadline_pressure().end()
        reading_topology.reset(token)
        if own is not None:
            end_operation(own)


def topology_shell(original: Method) -> Method:
    """Sync ``NodesManager.initialize``: it asks one node after the other, until one answers."""

    @functools.wraps(original)
    def initialize(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _topology():
            return original(self, *args, **kwargs)

    return initialize


def async_topology_shell(original: Method) -> Method:
    """Async ``RedisCluster.initialize``, likewise: it also asks for the server's commands."""

    @functools.wraps(original)
    async def initialize(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _topology():
            return await original(self, *args, **kwargs)

    return initialize
