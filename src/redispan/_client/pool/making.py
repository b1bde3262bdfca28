"""The shells around making connections, the place where a pool checks its limit and redispan may exceed it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool import retrying, waiting
from redispan._client.pool.state import PoolState
from redispan._core.slot import SLOT

Method = Callable[..., Any]


def make_connection_shell(original: Method) -> Method:
    """Wrap sync ``make_connection``, the one place that checks the limit; the pool calls it under its own lock."""
    return making_shell(_limited(original, lambda pool: not connection_pools.is_full(pool), connection_pools.created))


def get_available_shell(original: Method) -> Method:
    """Wrap async ``get_available_connection``, the one place that checks the limit, in one step of the event loop."""
    limited = _limited(original, connection_pools.has_free, connection_pools.total)

    @functools.wraps(original)
    def get_available_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        connection = limited(self, *args, **kwargs)
        let_go_if_ended(self.redispan_state, connection)
        return connection

    return get_available_connection


def let_go_if_ended(state: PoolState | None, connection: Any) -> None:
    """Close a connection of a tuned pool whose server has gone, so that its next use opens it again."""
    try:
        if state is not None and state.tuned and connection_pools.close_if_ended(connection):
            state.closed_by["error"] += 1
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error("pool")


def making_shell(original: Method) -> Method:
    """Wrap ``make_connection`` of any pool: give the new connection a reference to the pool's state."""

    @functools.wraps(original)
    def make_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        connection = original(self, *args, **kwargs)
        try:
            retrying.bind(connection)
            connection.redispan_pool_state = self.redispan_state
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        return connection

    return make_connection


def _limited(original: Method, has_room: Callable[[Any], bool], count: Callable[[Any], int]) -> Method:
    """Wrap a method that raises at the pool's limit.

    After a wait the shell lets the method exceed a soft limit. It marks an error of the method as exhaustion.
    """

    @functools.wraps(original)
    def make(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.redispan_state
        if state is None or not state.tuned or has_room(self):
            return original(self, *args, **kwargs)
        existing = count(self)
        if waiting.may_exceed(state, self, existing):
            limit, one_more = self.max_connections, existing + 1
            self.max_connections = one_more
            try:
                connection = original(self, *args, **kwargs)
            finally:
                if self.max_connections is one_more:  # otherwise it was resized meanwhile
                    self.max_connections = limit
            _note_surplus(state)
            return connection
        try:
            return original(self, *args, **kwargs)
        except Exception as error:
            waiting.mark_exhaustion(error)
            raise

    return make


def _note_surplus(state: PoolState) -> None:
    state.surplus += 1
    if waiting.exceeding.get():
        state.exceeded += 1
        SLOT.runtime.self_metrics.add("pool_events", "exceeded")
