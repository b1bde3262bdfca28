"""``Recorder``: begins and ends the operation of one call, for every sync and async shell.

Its errors never reach the program: they are counted and logged at debug level. Only under redispan's own tests
(``observing.strict``) are they raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

from redispan._client.internals import clients
from redispan._client.recording import batches, endpoints
from redispan._client.recording.connection_shells import peer
from redispan._core import observing
from redispan._core.commands import AT_ONCE, CommandInfo, block_budget_s, census_of, identify
from redispan._core.observing import Observers, current
from redispan._core.operation import Batch, CommandSeries, Endpoint, Operation
from redispan._core.slot import SLOT

_log = logging.getLogger("redispan")

EndpointFinder = Callable[[Any], Endpoint]
Begin = Callable[[Any, tuple[Any, ...], dict[str, Any]], "Operation | None"]
"""A function that takes a client (or a pipeline or script) and the arguments of its method.

It returns the operation that it begins, or None if it begins none.
"""

_SERIES_LIMIT = 10_000
_NOWHERE = Endpoint(None, None, None)


class Recorder:
    """Records calls as operations for one set of observers."""

    def __init__(self, observers: Observers, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """Prepare a recorder.

        Args:
            observers: The observers, which are called when an operation starts and ends.
            include: Names of the commands to record; empty for all.
            exclude: Names of the commands not to record.
        """
        self._enabled = observers.enabled
        self._observers = observers
        self._series: dict[Endpoint, dict[CommandInfo, CommandSeries]] = {}
        self._beginners: dict[EndpointFinder, Begin] = {}  # one per kind of client
        self._include = frozenset(include)
        self._exclude = frozenset(exclude)
        self._filters = bool(include or exclude)

    # Deliberately one long function, as ``end`` is: it runs in every call, and a helper would add the cost of a call.
    def command_beginner(self, find_endpoint: EndpointFinder) -> Begin:  # noqa: C901
        """Return the function that begins to record a command.

        That function returns None for a call that is not recorded: a call inside another operation, a call while
        instrumentation is suppressed, or an excluded command.
        """
        running, run, ready, at_once = current.get, current.set, self._series.get, AT_ONCE.get
        placed = self._placed
        observers, filters = self._observers, self._filters

        def begin(client: Any, args: Sequence[Any], _options: Any) -> Operation | None:
            try:
                outer = running()
                if outer is not None and not outer.done:
                    _count_part(outer)
                    return None
                if not self._enabled():
                    return None
                word = args[0] if args else None
                info = (at_once(word) if type(word) is str else None) or identify(args)
                if filters and not self._wanted(info):
                    return None
                endpoint = find_endpoint(client)
                known = ready(endpoint)
                series = known.get(info) if known is not None else None
                if series is None:
                    series = self._new_series(endpoint, info)
                    endpoint = series.endpoint
                operation = Operation(series, args, client)
                if info.blocking is not None or endpoint.cached:
                    _note_particulars(operation)
                operation.token = run(operation)
                if endpoint.late:
                    operation.before_send = placed
                else:
                    for started in observers.started:
                        try:
                            started(operation)
                        except Exception as fault:
                            observers.dismiss(started, fault)
                operation.start_ns = perf_counter_ns()
                return operation
            except BaseException as fault:
                self._give_up(fault)
                return None

        return begin

    def _placed(self, operation: Operation, connection: Any) -> None:
        """Notify the observers of the start, now that the server that answers is known, or will never be.

        A span that knows its server when it starts costs half as much as one that gets it at its end.

        Args:
            operation: The operation.
            connection: The connection that the first command is written to; None if nothing was sent.
        """
        operation.before_send = None
        try:
            if connection is not None:
                self._resolve(operation, connection)
                operation.moving = True
        except Exception as fault:
            _faulted(fault)
        self._notify_started(operation)

    def _notify_started(self, operation: Operation) -> None:
        for started in self._observers.started:
            try:
                started(operation)
            except Exception as fault:
                self._observers.dismiss(started, fault)

    def begin(self, find_endpoint: EndpointFinder, client: Any, args: Sequence[Any]) -> Operation | None:
        """Begin to record one command; return None if it is not recorded."""
        begin = self._beginners.get(find_endpoint)
        if begin is None:
            begin = self._beginners.setdefault(find_endpoint, self.command_beginner(find_endpoint))
        return begin(client, tuple(args), {})

    def begin_batch(
        self, find_endpoint: EndpointFinder, pipeline: Any, kind: str, commands: Sequence[Sequence[Any]]
    ) -> Operation | None:
        """Begin to record the execution of a pipeline.

        A pipeline of one command is recorded as that command.

        Args:
            find_endpoint: Finds the endpoint of ``pipeline``.
            pipeline: The pipeline.
            kind: ``PIPELINE`` or ``MULTI``.
            commands: The argument lists of the queued commands.

        Returns:
            The operation; None if it is not recorded, as for an empty pipeline, which sends nothing.
        """
        if len(commands) == 1:
            operation = self.begin(find_endpoint, pipeline, commands[0])
            if operation is not None:
                operation.pipelined = True
            return operation
        try:
            if not commands:
                return None
            outer = current.get()
            if outer is not None and not outer.done:
                _count_part(outer)
                return None
            if not self._enabled():
                return None
            census = census_of(commands)
            if self._filters and not any(self._wanted(info) for info in census):
                return None
            info = batches.common_info(kind, census)
            endpoint = find_endpoint(pipeline)
            series = self._series_of(endpoint, info)
            operation = Operation(series, (), pipeline)
            operation.batch = Batch(kind, commands, census)
            operation.pipelined = True
            operation.token = current.set(operation)
            self._notify_started(operation)
            operation.start_ns = perf_counter_ns()
            return operation
        except BaseException as fault:
            self._give_up(fault)
            return None

    def _give_up(self, fault: BaseException) -> None:
        begun = current.get()
        if begun is not None and not begun.internal and not begun.done and begun.start_ns == 0:
            begun.start_ns = perf_counter_ns()
            self.end(begun, None, fault)
        if not isinstance(fault, Exception):
            raise fault  # an interruption, such as KeyboardInterrupt, must reach the program
        _faulted(fault)

    def retire(self) -> None:
        """Stop beginning operations.

        This also works for shells that cannot be removed because another tool has wrapped them.
        """
        self._enabled = _never

    def _series_of(self, endpoint: Endpoint, info: CommandInfo) -> CommandSeries:
        known = self._series.get(endpoint)
        return (known.get(info) if known is not None else None) or self._new_series(endpoint, info)

    def _new_series(self, endpoint: Endpoint, info: CommandInfo) -> CommandSeries:
        if type(endpoint) is not Endpoint:
            endpoint = _NOWHERE  # a mock client or pool returns something for every attribute
            known = self._series.get(endpoint)
            if known is not None and info in known:
                return known[info]
        if sum(map(len, tuple(self._series.values()))) >= _SERIES_LIMIT:
            self._series.clear()  # every series is made again when it is needed
        series = CommandSeries(endpoint, info, SLOT.runtime.self_metrics.operations(info.group))
        return self._series.setdefault(endpoint, {}).setdefault(info, series)

    # Deliberately one long function: it runs in every call, and calling a function per step costs more than the step.
    def end(self, operation: Operation, response: Any, error: BaseException | None) -> None:  # noqa: C901, PLR0912
        """Finish recording an operation. Shells call it exactly once for every operation that ``begin`` returned.

        Args:
            operation: The operation.
            response: The result of the call; None if it raised.
            error: The exception that the call raised; None if it returned.
        """
        operation.duration_ns = perf_counter_ns() - operation.start_ns
        try:
            operation.response = response
            if error is not None:
                operation.error = error
                operation.remarkable = True
            if operation.before_send is not None:
                self._placed(operation, None)  # nothing was sent
            try:
                connection = operation.connection
                if connection is not None:
                    operation.peer = getattr(connection, "_redispan_peer", None) or peer(connection)
                    if operation.endpoint.late or (operation.moving and operation.sends > 1):
                        operation.resolved = self._resolve(operation, connection)
                if operation.pipelined and error is None:
                    operation.healed_error = batches.first_error(response)
                    operation.remarkable = operation.remarkable or operation.healed_error is not None
                if operation.sends != 1 or operation.remarkable:
                    _account_for_attempts(operation)
                if operation.batch is None:
                    operation.series.count()
                else:
                    batches.count_groups(operation.batch.census)
            except Exception as fault:
                _faulted(fault)  # some data is missing, but the span still has to end
            observers = self._observers
            for finished in observers.finished if operation.remarkable else observers.always_finished:
                try:
                    finished(operation)
                except Exception as fault:
                    self._observers.dismiss(finished, fault)
        except Exception as fault:
            _faulted(fault)
        finally:
            operation.done = True
            try:
                current.reset(operation.token)
            except ValueError:
                pass  # the coroutine was closed from another context, so there is nothing to restore
            # The error's traceback refers to the shell's frame, and the frame refers to the operation. Without this,
            # every failed call would leave a reference cycle. A task started meanwhile keeps a context that holds
            # the operation, but it must not keep the caller's arguments alive too.
            operation.response = operation.connection = operation.client = None
            operation.args = ()
            if operation.remarkable:
                operation.error = operation.healed_error = None
            if operation.batch is not None:
                operation.batch = None

    def _resolve(self, operation: Operation, connection: Any) -> bool:
        """Set the operation's endpoint to the server that answers; return False if it was known already."""
        endpoint = endpoints.of_connection(connection, operation.endpoint)
        if endpoint is operation.endpoint:
            return False
        operation.endpoint, operation.series = endpoint, self._series_of(endpoint, operation.info)
        return True

    def _wanted(self, info: CommandInfo) -> bool:
        name = info.name.upper()
        if (self._include and name not in self._include) or name in self._exclude:
            SLOT.runtime.self_metrics.dropped("excluded_commands")
            return False
        return True


def _note_particulars(operation: Operation) -> None:
    operation.blocking = block_budget_s(operation.info, operation.args) is not None
    operation.defer_span = operation.endpoint.cached


def _count_part(outer: Operation) -> None:
    """Mark ``outer`` as having a call inside it, which is not recorded as an operation itself.

    Such a call is a script's EVALSHA, or a command that a cluster client repeats.
    """
    if not outer.internal:
        outer.nested = True
        outer.new_part = outer.sends > 0


def _never() -> bool:
    return False


def _account_for_attempts(operation: Operation) -> None:
    """Set the operation's retries, redirects and client-side cache hit, and count them in the self-metrics."""
    # A cluster client repeats commands without a retry object. A retry object also repeats connecting, which writes no
    # command.
    repeated = operation.resends + operation.failed_connects - (0 if operation.sends else 1)
    retries = max(repeated, operation.pool_retries)
    if retries > 0:
        operation.retries = retries
        operation.remarkable = True
        SLOT.runtime.self_metrics.add("retries", amount=retries)
    if operation.redirects:
        if clients.is_redirect(operation.error or operation.healed_error):
            operation.redirects -= 1  # the client raised this redirect to the caller and did not follow it
        if operation.redirects:
            SLOT.runtime.self_metrics.add("redirects", amount=operation.redirects)
    if operation.sends == 0 and operation.defer_span and operation.error is None:
        operation.cache_hit = operation.remarkable = True
        SLOT.runtime.self_metrics.add("cache_hits")


def _faulted(fault: Exception) -> None:
    SLOT.runtime.self_metrics.telemetry_error("recorder")
    if observing.strict:
        raise fault
    _log.debug("redispan: a call was not recorded: %s", type(fault).__name__)
