"""The read timeout follows the command: a blocking one gets its own block time and a grace, or no timeout at all.

How long the server may take is noted where a command is packed, the one place that every client kind passes, and stays
with the connection until the next command, its release or its end. Opening the connection and its health check in
between keep their own, short timeout. Only a timeout that redispan chose is ever replaced: one that the program set is
its word, and it may rely on getting TimeoutError.

An extended read that expires is an ordinary read timeout to redis-py: it raises and closes the connection. (Passing
``timeout=`` to the async ``read_response`` instead would leave the late reply for the next command.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool.values import TunedReadSeconds, TunedSeconds, settings_in_force
from redispan._core.commands import UNKNOWN, Census, CommandInfo, block_budget_s, census_of, identify
from redispan._core.observing import current

_SUBSCRIPTIONS = frozenset({"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR"})


def is_subscription(info: CommandInfo | None) -> bool:
    """Whether the connection is a listener's for good after the command."""
    return info is not None and info.blocking == "forever" and info.name.upper() in _SUBSCRIPTIONS


SAFE_BATCH = replace(UNKNOWN, name="SAFE_BATCH", replay_safe=True, long_running=False)
"""Stands for a batch of commands that may all be repeated."""
UNSAFE_BATCH = replace(UNKNOWN, name="UNSAFE_BATCH", long_running=False)
"""Stands for any other batch."""

in_cluster_batch: ContextVar[bool] = ContextVar("redispan_in_cluster_batch", default=False)
"""A cluster pipeline repeats its commands after a timeout whatever they are, so its timeout must not be cut."""


hasten: Callable[[Any], None] | None = None
"""There while some operation of this process may be short of time: what to do with the read timeout then."""


class Hold:
    """A read timeout that differs from the connection's own for a while.

    Attributes:
        base: The connection's own timeout.
        timeout_s: The one in force; None for none.
        parked: The connection sits in a blocking read or subscription, rather than working.
        sticky: It lasts until the connection ends or is given back.
    """

    __slots__ = ("base", "parked", "sticky", "timeout_s")

    def __init__(self, base: Any, timeout_s: float | None, *, parked: bool, sticky: bool) -> None:
        self.base = base
        self.timeout_s = timeout_s
        self.parked = parked
        self.sticky = sticky


def note(connection: Any, args: Sequence[Any], info: CommandInfo | None = None) -> None:
    """A command is being packed for ``connection``; ``info`` is what it is, where that is known already."""
    if info is None:
        info = identify(args)
    connection.redispan_sent = info
    if info.blocking is not None or info.long_running:
        _hold_for(connection, (info,), (args,))
        return
    if connection.redispan_hold is not None:
        end_unless_sticky(connection)
    if not info.replay_safe and _is_repeated_by_others(connection):
        _hold_for(connection, (info,), (args,))
    elif hasten is not None:
        hasten(connection)


def note_batch(connection: Any, commands: Sequence[Sequence[Any]]) -> None:
    """A batch is being packed for ``connection``: the most patient of its commands decides."""
    census = _census_of(commands)
    safe = all(info.replay_safe for info in census)
    special: list[CommandInfo] = []
    calls: list[Sequence[Any]] = []
    if any(info.blocking is not None or info.long_running for info in census):
        for args in commands:
            info = identify(args)
            if info.blocking is not None or info.long_running:
                special.append(info)
                calls.append(args)
    connection.redispan_sent = SAFE_BATCH if safe else UNSAFE_BATCH
    if special or (not safe and in_cluster_batch.get()):
        _hold_for(connection, special, calls, at_least_library=not safe and in_cluster_batch.get())
        return
    if connection.redispan_hold is not None:
        end_unless_sticky(connection)
    if not safe and _is_repeated_by_others(connection):
        _hold_for(connection, (UNSAFE_BATCH,), ((),))
    elif hasten is not None:
        hasten(connection)


def _census_of(commands: Sequence[Sequence[Any]]) -> Census:
    """What the recorder found out already, where this is the batch that it recorded, and whole."""
    operation = current.get()
    batch = operation.batch if operation is not None else None
    if (
        batch is not None
        and len(commands) == len(batch.commands) > 0
        and commands[0] is batch.commands[0]
        and commands[-1] is batch.commands[-1]
    ):
        return batch.census
    return census_of(commands)


def _is_repeated_by_others(connection: Any) -> bool:
    """Whether the library behind the connection sends again what timed out; not while the connection is opened."""
    return type(connection.socket_timeout) is TunedReadSeconds and not connection.redispan_opening


def _hold_for(
    connection: Any,
    infos: Sequence[CommandInfo],
    calls: Sequence[Sequence[Any]],
    *,
    at_least_library: bool = False,
) -> None:
    hold = connection.redispan_hold
    if hold is not None:
        if hold.sticky:
            return
        end(connection)
    base = connection.socket_timeout
    wanted, parked = patience_s(connection, infos, calls, at_least_library=at_least_library)
    ours = isinstance(base, TunedSeconds)
    if _is_repeated_by_others(connection) and not all(info.replay_safe for info in infos):
        wanted = math.inf  # a dead server is found by keepalive
    if not parked and not (ours and wanted > base):
        return
    timeout = base if not ours else None if wanted == math.inf else max(float(base), wanted)
    sticky = any(is_subscription(info) for info in infos)
    begin(connection, Hold(base, timeout, parked=parked, sticky=sticky))


def patience_s(
    connection: Any,
    infos: Sequence[CommandInfo],
    calls: Sequence[Sequence[Any]],
    *,
    at_least_library: bool = False,
) -> tuple[float, bool]:
    """How long the reply may take (``inf``: for ever), and whether the server was asked to hold it back."""
    wanted, parked = 0.0, False
    if at_least_library or any(info.long_running for info in infos):
        default = connection_pools.library_read_timeout_s(connection_pools.package_of(connection))
        wanted = math.inf if default is None else default
    for info, args in zip(infos, calls, strict=True):
        budget = block_budget_s(info, args)
        if budget is not None:
            parked = True
            wanted = max(wanted, budget + settings_in_force().pool_block_grace_s)
    return wanted, parked


def begin(connection: Any, hold: Hold) -> None:
    """Put ``hold`` in force."""
    connection.redispan_hold = hold
    if hold.timeout_s != hold.base:
        _set(connection, hold.timeout_s)


def end_unless_sticky(connection: Any) -> None:
    """Go back to the connection's own timeout, but for a listener's connection."""
    if not connection.redispan_hold.sticky:
        end(connection)


def end(connection: Any) -> None:
    """Go back to the connection's own timeout."""
    hold = connection.redispan_hold
    connection.redispan_hold = None
    if hold is not None and hold.timeout_s != hold.base:
        _set(connection, hold.base)


def _set(connection: Any, timeout_s: Any) -> None:
    if connection.redispan_is_async:
        # Asked for at each read.
        connection.socket_timeout = timeout_s
    else:
        connection_pools.set_socket_timeout(connection, timeout_s)


class Suspended:
    """Housekeeping on a connection (opening it, its health check) runs on its own timeout; then the hold goes on."""

    __slots__ = ("connection", "hold", "sent")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.hold = connection.redispan_hold
        self.sent = connection.redispan_sent
        if self.hold is not None:
            end(connection)

    def resume(self) -> None:
        """Put back what was in force; a subscription made meanwhile (on reconnecting) stays."""
        self.connection.redispan_sent = self.sent
        if self.connection.redispan_hold is not None:
            end_unless_sticky(self.connection)
        if self.hold is not None and self.connection.redispan_hold is None:
            begin(self.connection, self.hold)
