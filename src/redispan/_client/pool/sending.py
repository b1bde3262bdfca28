"""The shells around sending to a connection, which set the read timeout that the sent commands need."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool import block_budget
from redispan._client.pool.values import TunedSeconds
from redispan._client.recording import connection_shells
from redispan._core.observing import current

Method = Callable[..., Any]


def send_command_shell(original: Method) -> Method:
    """Wrap sync ``send_command``: set the read timeout for the command.

    If the next shell is the recorder's, this shell does its work too and skips it, which saves every command a call.
    """
    note, note_send, running = block_budget.note, connection_shells.note_send, current.get
    recorded = getattr(original, connection_shells.NOTES_SENDS, None) is original
    send = original.__wrapped__ if recorded else original  # type: ignore[attr-defined]

    @functools.wraps(original)
    def send_command(self: Any, *args: Any, **kwargs: Any) -> Any:
        info = None
        if recorded:
            operation = running()
            if operation is not None and operation.sends == 0 and not operation.done:
                operation.sends = 1
                operation.connection = self
                if operation.before_send is not None:
                    operation.before_send(operation, self)
                if operation.args and operation.args[0] is args[0]:
                    info = operation.series.info
            else:
                note_send(self, args)
        note(self, args, info)
        return send(self, *args, **kwargs)

    return send_command


def pack_commands_shell(original: Method) -> Method:
    """Wrap sync ``pack_commands``: set the read timeout for the whole batch."""

    @functools.wraps(original)
    def pack_commands(self: Any, commands: Any) -> Any:
        if not isinstance(commands, (list, tuple)):
            commands = list(commands)
        block_budget.note_batch(self, commands)
        return original(self, commands)

    return pack_commands


def async_pack_command_shell(original: Method) -> Method:
    """Wrap async ``pack_command``, the one place that every async command passes: set the command's read timeout."""
    note = block_budget.note

    @functools.wraps(original)
    def pack_command(self: Any, *args: Any) -> Any:
        if not self.redispan_packing:
            note(self, args)
        return original(self, *args)

    return pack_command


def async_pack_commands_shell(original: Method) -> Method:
    """Wrap async ``pack_commands``: set the read timeout for the whole batch, and not for its commands one by one."""

    @functools.wraps(original)
    def pack_commands(self: Any, commands: Any) -> Any:
        if not isinstance(commands, (list, tuple)):
            commands = list(commands)
        block_budget.note_batch(self, commands)
        self.redispan_packing = True
        try:
            return original(self, commands)
        finally:
            self.redispan_packing = False

    return pack_commands


def may_lose_cancellations(package: str) -> bool:
    """Return whether async connections may lose a cancellation because of a timeout that redispan set.

    That is so if only redispan's timeout makes them write in ``asyncio.wait_for``. In Python 3.11 ``wait_for`` loses a
    cancellation that coincides with the end of the write. Python 3.10 does so too, but a task cannot detect it there.
    """
    return sys.version_info[:2] == (3, 11) and connection_pools.library_read_timeout_s(package) is None


def async_send_packed_shell(original: Method) -> Method:
    """Wrap async ``send_packed_command``: raise a cancellation that was lost during the write."""

    @functools.wraps(original)
    async def send_packed_command(self: Any, *args: Any, **kwargs: Any) -> Any:
        task: Any = asyncio.current_task() if isinstance(self.socket_timeout, TunedSeconds) else None
        if task is None:
            return await original(self, *args, **kwargs)
        before = task.cancelling()
        result = await original(self, *args, **kwargs)
        if task.cancelling() > before:
            await self.disconnect(nowait=True)  # as the method does, since no caller will read the reply
            raise asyncio.CancelledError
        return result

    return send_packed_command
