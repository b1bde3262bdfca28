"""Who watches operations: the observer protocol, guarded dispatch, and the operation now running.

An observer that raises is logged once, counted and switched off: telemetry never breaks the program. Under redispan's
own tests (``strict``) it raises on, so that no fault of ours hides.
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
"""Let faults of observers through. Only redispan's own tests set it."""


class Observer(Protocol):
    """Someone who is told of every operation, on its caller's thread: be quick, keep nothing.

    Either moment may be None for an observer that has nothing to do then.
    """

    @property
    def started(self) -> Callable[[Operation], None] | None:
        """The operation is about to run; the context in effect is its caller's."""

    @property
    def finished(self) -> Callable[[Operation], None] | None:
        """The operation ended; its duration and outcome are known.

        An observer with a true ``only_remarkable`` is told of those alone that were remarkable when they ended.
        """


INTERNAL = Operation(CommandSeries(Endpoint(None, None, None), UNKNOWN), ())
"""Stands for the client's own housekeeping (handshakes, health checks, topology): nothing in it is an operation."""
INTERNAL.internal = True
INTERNAL.sends = -1  # never the first send of anything

current: ContextVar[Operation | None] = ContextVar("redispan_operation", default=None)
"""The operation that runs in this thread or task, or ``INTERNAL``."""


def running() -> Operation | None:
    """The operation in progress here, if there is one."""
    operation = current.get()
    return None if operation is None or operation.done or operation.internal else operation


def waiting() -> Operation | None:
    """The operation in progress here, or the one that waits for the housekeeping in progress here."""
    operation = current.get()
    if operation is not None and operation.internal:
        operation = operation.waiting
    return None if operation is None or operation.done else operation


def client_internal() -> Operation:
    """A stretch of the client's own doing, to be made the current one and marked as done at its end.

    Not one for all: a task started meanwhile inherits the context, and must not count as housekeeping for ever.
    """
    operation = Operation(INTERNAL.series, ())
    operation.internal = True
    operation.sends = -1
    operation.waiting = waiting()
    return operation


class Observers:
    """The observers of one instrumentation, called in order at the start and in reverse order at the end.

    Reverse order at the end makes the first observer (the span) the outermost: what others find out can still be
    written on it.
    """

    def __init__(self, observers: Iterable[Observer], enabled: Callable[[], bool] = lambda: True) -> None:
        """Wire observers.

        Args:
            observers: Outermost first.
            enabled: False while instrumentation is suppressed in the current context.
        """
        self.enabled = enabled
        self._lock = threading.RLock()
        self._observers = list(observers)
        self._off: list[Observer] = []
        self.started: tuple[Callable[[Operation], None], ...] = ()
        self.finished: tuple[Callable[[Operation], None], ...] = ()
        self.always_finished: tuple[Callable[[Operation], None], ...] = ()
        """Those of ``finished`` that are told of every operation."""
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
        """Switch off the observer whose call failed, saying so once."""
        SLOT.runtime.self_metrics.telemetry_error("observer")
        if strict:
            raise fault
        observer = getattr(call, "__self__", None)
        with self._lock:
            if observer not in self._observers or observer in self._off:
                return
            self._off.append(observer)
            self._rebuild()
        # The message of the fault may hold arguments of the program: its class is what is safe to show.
        _log.error(
            "redispan: %s failed with %s and is switched off; the program is not affected.",
            type(observer).__name__,
            type(fault).__name__,
        )


def enter(operation: Operation) -> Token[Operation | None]:
    """Make ``operation`` the running one of this context."""
    return current.set(operation)


def leave(token: Token[Operation | None]) -> None:
    """Go back to what ran before; a generator closed in another context can't, and needn't."""
    try:
        current.reset(token)
    except ValueError:
        pass
