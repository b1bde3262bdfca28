"""The figures of pools, read from the pools when something collects them.

Reading takes no lock of a pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool import cluster as pool_cluster
from redispan._client.pool import sizing
from redispan._client.pool.state import PoolState, is_ours, registry
from redispan._client.pool.values import TunedLimit, TunedNodeLimit
from redispan._core.pool_sources import PoolStats
from redispan._core.slot import SLOT

_VALUES = (
    "socket_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_keepalive_options",
    "health_check_interval",
)


def read() -> Iterator[PoolStats]:
    """Yield the figures of every pool and cluster node that is in use in this process."""
    for state in registry().at_work():
        pool = state.owner()
        if pool is None:
            continue
        try:
            found = of_pool(state, pool)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
            continue
        if found is None:
            registry().rest(state)
        else:
            yield found
    yield from _of_nodes()


def _of_nodes() -> Iterator[PoolStats]:
    seen: set[int] = set()
    for cluster in tuple(pool_cluster.CLUSTERS):
        for node in connection_pools.nodes_of(cluster):
            state = pool_cluster.NODE_REGISTRY.find(node)
            if state is None or not state.active or id(state) in seen:
                continue
            seen.add(id(state))
            every, free = connection_pools.node_connections(node)
            if not every:
                continue
            if not state.name:
                # Not earlier: the node given to find the cluster by is another object than the one found there.
                registry().name(state, f"{node.host}:{node.port}/0")
            yield _stats(
                state,
                limit=int(node.max_connections.soft)
                if isinstance(node.max_connections, TunedNodeLimit)
                else int(node.max_connections),
                soft=isinstance(node.max_connections, TunedNodeLimit),
                used=len(every) - len(free),
                idle=connection_pools.connected(free),
                parked=state.held,
                kwargs=node.connection_kwargs,
                pending=len(state.waiters),
            )


def of_pool(state: PoolState, pool: Any) -> PoolStats | None:
    """Return one pool's figures, or None if it was closed with nothing lent, or not used since the fork."""
    leased, idle = connection_pools.lent_and_free(pool)
    if not state.active and not (state.closed and leased):
        return None
    sizing.after_look(state, pool, len(leased))
    limit = int(pool.max_connections)
    return _stats(
        state,
        limit=limit,
        soft=isinstance(pool.max_connections, TunedLimit),
        used=len(leased),
        idle=connection_pools.connected(idle),
        parked=state.parked(leased),
        kwargs=pool.connection_kwargs,
        pending=len(state.waiters) + connection_pools.own_waiters(pool),
    )


def _stats(
    state: PoolState, *, limit: int, soft: bool, used: int, idle: int, parked: int, kwargs: Any, pending: int
) -> PoolStats:
    with state.reading:
        uses = state.uses.read()
    return PoolStats(
        name=state.name,
        kind=state.kind,
        used=max(0, used),
        idle=idle,
        parked=min(parked, max(0, used)),
        limit=None if limit >= connection_pools.UNLIMITED else limit,
        soft=soft,
        pending=pending,
        timeouts=state.timeouts,
        waits=state.waits,
        wait_s=state.wait_s,
        exceeded=state.exceeded,
        exhausted=state.exhausted,
        created=state.created,
        connect_failures=state.connect_failures,
        uses=uses,
        closed=dict(state.closed_by),
        tuned=state.tuned,
        values=values_in_effect(kwargs),
    )


def values_in_effect(kwargs: Any) -> dict[str, Any]:
    """Return the settings with which a pool opens its connections; a credential is never among them.

    A timeout that redispan chose is returned as a plain float.
    """
    found: dict[str, Any] = {}
    for key in _VALUES:
        value = kwargs.get(key)
        if key in kwargs and (value is None or isinstance(value, (bool, int, float, dict))):
            found[key] = float(kwargs[key]) if is_ours(value) else value
    return found
