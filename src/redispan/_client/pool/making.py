"""The shells around a pool's making of connections, where its limit is known and may be exceeded."""

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
    """Sync ``make_connection``, which the pool calls under its own lock: the one place that knows its limit."""
    return making_shell(_limited(original, lambda pool: not connection_pools.is_full(pool), connection_pools.created))


def get_available_shell(original: Method) -> Method:
    """Async ``get_available_connection``: one step of the event loop, and the one place that knows the limit."""
    limited = _limited(original, connection_pools.has_free, connection_pools.total)

    @functools.wraps(original)
    def get_available_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
        connection = limited(self, *args, **kwargs)
        let_go_if_ended(self.redispan_state, connection)
        return connection

    return get_available_connection


def let_go_if_ended(state: PoolState | None, connection: Any) -> None:
    """A connection that is lent again lives, or is opened anew."""
    try:
        if state is not None and state.tuned and connection_pools.close_if_ended(connection):
            state.closed_by["error"] += 1
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error("pool")


def making_shell(original: Method) -> Method:
    """``make_connection`` of any pool: the new connection knows its pool's companion."""

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
    """A method that refuses at the pool's limit: a soft limit gives way after the wait, and a refusal is known."""

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
                if self.max_connections is one_more:  # and was not resized meanwhile
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
