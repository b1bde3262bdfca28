"""Shells of the connection classes, of client-internal methods, and of redirects and backoffs.

They find out which connection an operation uses and how long connecting takes, and they count what is sent without an
operation. They run below the client's methods and cost one context lookup per command.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from redispan._client.internals import clients
from redispan._core import observing
from redispan._core.commands import identify
from redispan._core.observing import INTERNAL, current
from redispan._core.operation import Operation
from redispan._core.slot import SLOT

Method = Callable[..., Any]

NOTES_SENDS = "redispan_notes_sends"
"""The attribute of the ``send_command`` shell that refers to the shell itself.

The pool layer's shell is applied around this one. If the function below it is the one that the attribute refers to, the
pool layer's shell skips it and does its work too. The wrapper of another tool may copy the attribute, but the attribute
does not refer to that wrapper.
"""


def peer(connection: Any) -> clients.Peer | None:
    """Return the address and port of the other end of ``connection``, read once per socket; None if unknown."""
    try:
        found: clients.Peer | None = connection._redispan_peer
        return found
    except AttributeError:
        # The connection was opened before redispan was applied, or by a class that the program defines.
        return _remember_peer(connection)


def _remember_peer(connection: Any) -> clients.Peer | None:
    found = clients.peer_of(connection)
    if found is not None:
        try:
            connection._redispan_peer = found
        except Exception:
            return found
    return found


def note_send(connection: Any, args: tuple[Any, ...]) -> None:
    """Record that a command is about to be written to ``connection``.

    Args:
        connection: The connection.
        args: The command and its arguments.
    """
    operation = current.get()
    if operation is None or operation.done:
        SLOT.runtime.self_metrics.add("raw", identify(args).group)
    elif operation.sends == 0:
        _note_first_send(operation, connection)
    elif not operation.internal:
        _note_further_send(operation, connection, args)


def note_batch(connection: Any) -> None:
    """Record that a whole batch is about to be written to ``connection``."""
    operation = current.get()
    if operation is None or operation.done:
        SLOT.runtime.self_metrics.add("raw", "batch")
    elif operation.sends == 0:
        _note_first_send(operation, connection)
    elif not operation.internal:
        if operation.nested and not operation.batch_sent:
            operation.batch_sent = operation.new_part = True  # earlier writes only prepared the batch
        _note_further_send(operation, connection)


def _note_first_send(operation: Operation, connection: Any) -> None:
    operation.sends = 1
    operation.connection = connection
    if operation.before_send is not None:
        operation.before_send(operation, connection)


def _note_further_send(operation: Operation, connection: Any, args: tuple[Any, ...] = ("",)) -> None:
    try:
        # ASKING precedes a redirected command, and UNWATCH cleans up after a transaction. Neither is an attempt.
        if args[0] not in ("ASKING", "UNWATCH"):
            _note_node(operation, connection)
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error("send")


def _note_node(operation: Operation, connection: Any) -> None:
    # A retry goes to the same node. A redirect, or a command for many nodes, goes to another one. The node is
    # identified by its address, because a retry may use another connection of the same pool.
    node = _node(connection)
    if operation.new_part:
        operation.new_part = False
        operation.nodes = {node}
    else:
        if operation.nodes is None:
            operation.nodes = {_node(operation.connection)}
        if node in operation.nodes:
            operation.resends += 1
        operation.nodes.add(node)
    operation.sends += 1
    operation.connection = connection


def _node(connection: Any) -> int:
    return hash(clients.place_of_connection(connection))


def send_command_shell(original: Method) -> Method:
    """Wrap the sync ``send_command``, and record each command that is sent on a connection."""

    @functools.wraps(original)
    def send_command(self: Any, *args: Any, **kwargs: Any) -> Any:
        operation = current.get()
        if operation is not None and operation.sends == 0 and not operation.done:
            operation.sends = 1
            operation.connection = self
            if operation.before_send is not None:
                operation.before_send(operation, self)
        else:
            note_send(self, args)
        return original(self, *args, **kwargs)

    setattr(send_command, NOTES_SENDS, send_command)
    return send_command


def pack_command_shell(original: Method) -> Method:
    """Wrap the async ``pack_command``, and record each command.

    Every async command goes through ``pack_command``, in clusters too.
    """

    @functools.wraps(original)
    def pack_command(self: Any, *args: Any) -> Any:
        note_send(self, args)
        return original(self, *args)

    return pack_command


def pack_commands_shell(original: Method) -> Method:
    """Wrap ``pack_commands``, sync or async, and record each batch as one send.

    The commands that the original packs one by one are not recorded.
    """

    @functools.wraps(original)
    def pack_commands(self: Any, commands: Any) -> Any:
        note_batch(self)
        token = current.set(INTERNAL)
        try:
            return original(self, commands)
        finally:
            observing.leave(token)

    return pack_commands


def connect_shell(original: Method) -> Method:
    """Wrap the sync ``connect``, and add its time to the operation that waits for it.

    The commands of the handshake are client-internal, so they are not recorded as operations.
    """

    @functools.wraps(original)
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "_sock", None):
            return None  # the original checks this first, too, and redis-py calls it before every command
        internal, token, start_ns, paused_ns = _connecting()
        try:
            return original(self, *args, **kwargs)
        finally:
            _connected(self, internal, token, start_ns, paused_ns)

    return connect


def async_connect_shell(original: Method) -> Method:
    """The async version of ``connect_shell``."""

    @functools.wraps(original)
    async def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.is_connected:
            return None  # as in ``connect_shell``
        internal, token, start_ns, paused_ns = _connecting()
        try:
            return await original(self, *args, **kwargs)
        finally:
            _connected(self, internal, token, start_ns, paused_ns)

    return connect


def _connecting() -> tuple[Operation, Any, int, int]:
    internal = observing.client_internal()
    token = current.set(internal)
    operation = observing.waiting()
    return internal, token, perf_counter_ns(), 0 if operation is None else operation.backoff_ns


def _connected(connection: Any, internal: Operation, token: Any, start_ns: int, paused_ns: int) -> None:
    internal.done = True
    observing.leave(token)
    try:
        # Sentinel connects inside ``connect``. An inner connect finds no operation here, so its time counts only once.
        waiting = observing.running()
        is_open = clients.is_open(connection)
        if waiting is not None:
            # Backoff pauses between attempts are measured separately, as backoff_ns.
            waiting.connect_ns += max(0, perf_counter_ns() - start_ns - (waiting.backoff_ns - paused_ns))
            if not is_open:
                waiting.failed_connects += 1
                waiting.remarkable = True
        if is_open:
            _remember_peer(connection)
        else:
            connection._redispan_peer = None  # the peer of an earlier socket says nothing about this call
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error("connect")


def internal_shell(original: Method) -> Method:
    """Wrap a sync method that sends client-internal commands, so that they are not recorded as operations."""

    @functools.wraps(original)
    def client_internal(self: Any, *args: Any, **kwargs: Any) -> Any:
        internal = observing.client_internal()
        token = current.set(internal)
        try:
            return original(self, *args, **kwargs)
        finally:
            internal.done = True
            observing.leave(token)

    return client_internal


def async_internal_shell(original: Method) -> Method:
    """The async version of ``internal_shell``."""

    @functools.wraps(original)
    async def client_internal(self: Any, *args: Any, **kwargs: Any) -> Any:
        internal = observing.client_internal()
        token = current.set(internal)
        try:
            return await original(self, *args, **kwargs)
        finally:
            internal.done = True
            observing.leave(token)

    return client_internal


def backoff_shell(original: Method) -> Method:
    """Wrap ``compute`` of a backoff, and count a retry and its pause.

    redis-py calls ``compute`` once per repeated attempt, and never otherwise.
    """

    @functools.wraps(original)
    def compute(self: Any, *args: Any, **kwargs: Any) -> Any:
        pause_s = original(self, *args, **kwargs)
        try:
            operation = observing.waiting()
            if operation is not None:
                operation.pool_retries += 1
                operation.backoff_ns += max(0, int(pause_s * 1e9))
                operation.remarkable = True
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("backoff")
        return pause_s

    return compute


def redirect_shell(original: Method) -> Method:
    """Wrap ``AskError.__init__``, which ``MovedError`` inherits, and count a redirect.

    The cluster client creates one such error for every redirect that it follows.
    """

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is that method
        operation = observing.running()
        if operation is not None:
            operation.redirects += 1
            operation.remarkable = True
        original(self, *args, **kwargs)

    return __init__
