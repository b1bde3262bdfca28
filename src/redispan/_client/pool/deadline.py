"""The deadline of an operation in trouble: each further wait gets at most the time that is left.

None of this runs while all goes well. The process is *in haste* while a connection is being opened, while a cluster
client reads the topology, and from the first failure of a cluster operation to its end. In haste, redispan checks for
each packed command whether its operation is short of time. redispan shortens only timeouts that it chose itself.
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
"""The shortest timeout, in seconds: with a shorter one, a server that replies would look like one that doesn't."""
_AT_ONCE_S = 0.002
"""The connect timeout, in seconds, of each further address of a name once the time is over.

A timeout of 0 would mean not to wait at all, and would fail with another error.
"""

reading_topology: ContextVar[bool] = ContextVar("redispan_reading_topology", default=False)
"""Whether a cluster client is reading the topology."""


class DeadlinePressure:
    """A count of what is in haste in this process: connections being opened, topology reads, failed cluster operations.

    While the count is not 0, ``block_budget`` calls ``hasten`` for each packed command.
    """

    def __init__(self) -> None:
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Set the count to 0.

        A forked child needs this: the parent's other threads, which would end their haste, do not exist in it.
        """
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
            # Never below 0: an operation that began before a fork may end in the child.
            self._count = max(0, self._count - 1)
            if not self._count:
                block_budget.hasten = None


def deadline_pressure() -> DeadlinePressure:
    """The deadline pressure of this process."""
    return SLOT.runtime.part("deadline_pressure", DeadlinePressure)


class Until(float):
    """The moment (monotonic) by which a cluster operation must have ended.

    Attributes:
        in_haste: The operation has failed once.
        attempt_s: When (monotonic) its present attempt began or, after a failure, the attempt before that ended.
    """

    in_haste = False
    attempt_s = 0.0


def begin_operation(seconds: float) -> Any:
    """Begin a cluster operation bounded to ``seconds`` (0: no bound), and return a token for ``end_operation``."""
    if not seconds:
        return retry_policy.operation_until_s.set(None)
    now = time.monotonic()
    until_s = Until(now + seconds)
    until_s.attempt_s = now
    return retry_policy.operation_until_s.set(until_s)


def end_operation(token: Any) -> None:
    """End the cluster operation that ``begin_operation`` returned ``token`` for."""
    until_s = retry_policy.operation_until_s.get()
    if isinstance(until_s, Until) and until_s.in_haste:
        until_s.in_haste = False
        deadline_pressure().end()
    try:
        retry_policy.operation_until_s.reset(token)
    except ValueError:
        return  # a coroutine closed from another context has no earlier value to restore


def is_another_attempt_too_long() -> bool:
    """Return whether an attempt as long as the one that just failed would overrun the cluster operation's deadline."""
    until_s = retry_policy.operation_until_s.get()
    if not isinstance(until_s, Until):
        return False
    now = time.monotonic()
    took_s, until_s.attempt_s = now - until_s.attempt_s, now
    return now + took_s > until_s


def operation_failed() -> None:
    """Put the cluster operation in haste, after an attempt that failed and that another may follow."""
    until_s = retry_policy.operation_until_s.get()
    if isinstance(until_s, Until) and not until_s.in_haste:
        until_s.in_haste = True
        deadline_pressure().begin()


def hasten(connection: Any) -> None:
    """Limit the reply of the command that is being packed to the time that its operation has left.

    Raises:
        TimeoutError: The library's, if a cluster client has no time left to read the topology.
    """
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
    """A descriptor for ``socket_connect_timeout``: while a connection is being opened, at most the time that is left.

    redis-py reads it once for each address of a name, so that several addresses that never reply share the time.
    """

    def __init__(self, original: Any) -> None:
        """Wrap ``original``, the class's own descriptor; None if it has none."""
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
    """Wrap sync ``NodesManager.initialize``, so that reading the topology has a deadline.

    The method queries one node after the other until one replies.
    """

    @functools.wraps(original)
    def initialize(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _topology():
            return original(self, *args, **kwargs)

    return initialize


def async_topology_shell(original: Method) -> Method:
    """Wrap async ``RedisCluster.initialize``: the async version of ``topology_shell``.

    The method also reads the server's commands.
    """

    @functools.wraps(original)
    async def initialize(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _topology():
            return await original(self, *args, **kwargs)

    return initialize
