"""The read timeout of blocking and long-running commands, set on the connection for as long as the command needs.

A blocking command gets its own block time plus a grace as its read timeout, or no timeout at all. redispan sets it
where the client packs a command, the one place that every kind of client passes. The timeout stays on the connection
until its next command, its release or its end. Opening the connection and its health check keep their own, short
timeout. redispan replaces only a timeout that it chose itself: a program that set one may rely on getting TimeoutError.

When an extended read timeout expires, redis-py treats it as any read timeout: it raises and closes the connection.
(Passing ``timeout=`` to the async ``read_response`` instead would leave the late reply for the next command.)
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
    """Return whether the command makes the connection a listener: a subscription, or ``MONITOR``."""
    return info is not None and info.blocking == "forever" and info.name.upper() in _SUBSCRIPTIONS


SAFE_BATCH = replace(UNKNOWN, name="SAFE_BATCH", replay_safe=True, long_running=False)
"""The ``CommandInfo`` of a batch in which every command may be repeated."""
UNSAFE_BATCH = replace(UNKNOWN, name="UNSAFE_BATCH", long_running=False)
"""The ``CommandInfo`` of any other batch."""

in_cluster_batch: ContextVar[bool] = ContextVar("redispan_in_cluster_batch", default=False)
"""Whether a cluster pipeline is running.

It repeats all its commands after a timeout, unsafe ones too, so redispan must not lower its timeout.
"""


hasten: Callable[[Any], None] | None = None
"""The function that fits a read timeout to the operation's deadline; None while the process is not in haste.

``redispan._client.pool.deadline`` sets it.
"""


class Hold:
    """A read timeout that temporarily replaces the connection's own.

    Attributes:
        base: The connection's own timeout.
        timeout_s: The timeout in force, in seconds; None for no timeout.
        parked: The connection sits in a blocking read or a subscription.
        sticky: The hold lasts until the connection ends or is released.
    """

    __slots__ = ("base", "parked", "sticky", "timeout_s")

    def __init__(self, base: Any, timeout_s: float | None, *, parked: bool, sticky: bool) -> None:
        self.base = base
        self.timeout_s = timeout_s
        self.parked = parked
        self.sticky = sticky


def note(connection: Any, args: Sequence[Any], info: CommandInfo | None = None) -> None:
    """Set the read timeout for the command that is being packed.

    Args:
        connection: The connection that will send it.
        args: The command with its arguments.
        info: What is known about the command; None to look it up.
    """
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
    """Set the read timeout for the batch that is being packed.

    The command with the longest timeout decides.
    """
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
    """Return the census of a batch, from the recorder if it has recorded exactly this batch."""
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
    """Return whether another library repeats what times out here; False while the connection is being opened."""
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
        wanted = math.inf  # keepalive detects a dead server
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
    """Return how long the reply may take, in seconds (``inf`` for no bound), and whether a command blocks."""
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
    """Put ``hold`` in force on ``connection``."""
    connection.redispan_hold = hold
    if hold.timeout_s != hold.base:
        _set(connection, hold.timeout_s)


def end_unless_sticky(connection: Any) -> None:
    """Restore the connection's own timeout, except on a listener's connection."""
    if not connection.redispan_hold.sticky:
        end(connection)


def end(connection: Any) -> None:
    """Restore the connection's own timeout."""
    hold = connection.redispan_hold
    connection.redispan_hold = None
    if hold is not None and hold.timeout_s != hold.base:
        _set(connection, hold.base)


def _set(connection: Any, timeout_s: Any) -> None:
    if connection.redispan_is_async:
        # An async connection looks it up at each read.
        connection.socket_timeout = timeout_s
    else:
        connection_pools.set_socket_timeout(connection, timeout_s)


class Suspended:
    """A hold that is suspended during client-internal commands: opening the connection, or its health check.

    They run with the connection's own timeout. ``resume`` ends the suspension.
    """

    __slots__ = ("connection", "hold", "sent")

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.hold = connection.redispan_hold
        self.sent = connection.redispan_sent
        if self.hold is not None:
            end(connection)

    def resume(self) -> None:
        """Restore the hold; the hold of a subscription that reconnecting has made meanwhile stays."""
        self.connection.redispan_sent = self.sent
        if self.connection.redispan_hold is not None:
            end_unless_sticky(self.connection)
        if self.hold is not None and self.connection.redispan_hold is None:
            begin(self.connection, self.hold)
