"""The observer protocol, the observers of one instrumentation, and the operation that runs in the current context.

An observer that raises is logged once, counted in the self-metrics and switched off, so that telemetry never breaks the
program. Under redispan's own tests (``strict``) the exception is raised, so that no fault of redispan stays hidden.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from typing import Protocol

from redispan._core.commands import UNKNOWN
from redispan._core.operation import CommandSeries, Endpoint, Operation
from redispan._core.slot import SLOT

_log = logging.getLogger("redispan")

strict = False
"""Whether exceptions of observers are raised. Only redispan's own tests set it."""


class Observer(Protocol):
    """An object that is notified when an operation starts and when it ends.

    Both methods run on the caller's thread, so they must be quick, and they must not keep the operation. Either may be
    None if the observer has nothing to do at that moment.
    """

    @property
    def started(self) -> Callable[[Operation], None] | None:
        """Called when the operation is about to run, in the context of its caller."""

    @property
    def finished(self) -> Callable[[Operation], None] | None:
        """Called when the operation has ended and its duration and outcome are known.

        For an observer whose ``only_remarkable`` is true, it is called only if the operation was remarkable when it
        ended.
        """


INTERNAL = Operation(CommandSeries(Endpoint(None, None, None), UNKNOWN), ())
"""The current operation while the client sends client-internal commands, which are not recorded as operations.

Such commands belong to handshakes, health checks and the discovery of the topology.
"""
INTERNAL.internal = True
INTERNAL.sends = -1  # so that no send is taken for its first one

current: ContextVar[Operation | None] = ContextVar("redispan_operation", default=None)
"""The operation that runs in this thread or task; an internal one while client-internal commands are sent."""


def running() -> Operation | None:
    """Return the operation that runs in this context, or None."""
    operation = current.get()
    return None if operation is None or operation.done or operation.internal else operation


def waiting() -> Operation | None:
    """Return the operation that runs in this context, or the one that waits for client-internal commands here."""
    operation = current.get()
    if operation is not None and operation.internal:
        operation = operation.waiting
    return None if operation is None or operation.done else operation


def client_internal() -> Operation:
    """Return a new internal operation, to be made the current one while client-internal commands are sent.

    The caller marks it as done at the end. It is not the shared ``INTERNAL``: a task that starts meanwhile inherits the
    context, and its later commands must not count as client-internal forever.
    """
    operation = Operation(INTERNAL.series, ())
    operation.internal = True
    operation.sends = -1
    operation.waiting = waiting()
    return operation


class Observers:
    """The observers of one instrumentation, called in order at the start and in reverse order at the end.

    The reverse order makes the first observer (the span) the outermost one, so that the span can still get attributes
    for what the others find out.

    Attributes:
        enabled: Returns False while instrumentation is suppressed in the current context.
        started: The ``started`` functions of the observers that are on.
        finished: The ``finished`` functions, called for a remarkable operation.
        always_finished: The part of ``finished`` that is called for every operation.
    """

    def __init__(self, observers: Iterable[Observer], enabled: Callable[[], bool] = lambda: True) -> None:
        """Prepare to call the observers.

        Args:
            observers: The observers, the outermost first.
            enabled: Returns False while instrumentation is suppressed in the current context.
        """
        self.enabled = enabled
        self._lock = threading.RLock()
        self._observers = list(observers)
        self._off: list[Observer] = []
        self.started: tuple[Callable[[Operation], None], ...] = ()
        self.finished: tuple[Callable[[Operation], None], ...] = ()
        self.always_finished: tuple[Callable[[Operation], None], ...] = ()
        self._rebuild()

    def _rebuild(self) -> None:
        self.started = tuple(o.started for o in self._observers if o.started is not None and o not in self._off)
        # One that was switched off still has to finish what it started: a span would stay open and current for ever.
        finishing = [
            o
            for o in reversed(self._observers)
            if o.finished is not None and (o not in self._off or o.started is not None)
        ]
        self.finished = tuple(o.finished for o in finishing if o.finished is not None)
        self.always_finished = tuple(
            o.finished for o in finishing if o.finished is not None and not getattr(o, "only_remarkable", False)
        )

    def dismiss(self, call: Callable[[Operation], None], fault: Exception) -> None:
        """Switch off the observer whose call raised ``fault``, and log that once."""
        SLOT.runtime.self_metrics.telemetry_error("observer")
        if strict:
            raise fault
        observer = getattr(call, "__self__", None)
        with self._lock:
            if observer not in self._observers or observer in self._off:
                return
            self._off.append(observer)
            self._rebuild()
        # The message of the exception may contain the program's arguments, so only its class is logged.
        _log.error(
            "redispan: %s failed with %s and is switched off; the program is not affected.",
            type(observer).__name__,
            type(fault).__name__,
        )


def enter(operation: Operation) -> Token[Operation | None]:
    """Make ``operation`` the running operation of this context."""
    return current.set(operation)


def leave(token: Token[Operation | None]) -> None:
    """Restore the operation that was current before.

    A generator that is closed in another context cannot restore it there, and need not.
    """
    try:
        current.reset(token)
    except ValueError:
        pass
