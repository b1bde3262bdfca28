"""The servers that the program uses, and how the probe reaches each one.

For a standalone server, a weak reference to its pool is kept. Clusters and Sentinel-managed masters move, so for them a
weak reference to the cluster client or the pool is kept, and the probe reads its current servers each time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from redispan._client.internals import clients, connection_pools
from redispan._core.operation import Endpoint

LIMIT = 64
"""The most servers that one process probes."""

Place = tuple[str, "int | None"]


class ServerRoute(NamedTuple):
    """How to reach a server: the class and arguments of the program's own connections to it.

    Attributes:
        owner: The pool or cluster client that they come from.
        connection_class: The class of the connections.
        kwargs: The keyword arguments of the connections.
    """

    owner: Any
    connection_class: Any
    kwargs: dict[str, Any]


_KEPT = frozenset({"host", "port", "path", "username", "password", "credential_provider", "socket_type"})
_TIMEOUT_S = 2.0

_pools: dict[Place, Callable[[], Any]] = {}
_moving: dict[int, Callable[[], Any]] = {}
"""Cluster clients and Sentinel pools, by ``id``."""


def remember_pool(pool: Any, endpoint: Endpoint) -> None:
    """Remember a pool that a client uses.

    Args:
        pool: The pool.
        endpoint: The endpoint of the pool. If it is late, Sentinel decides which server the pool uses.
    """
    if endpoint.late:
        remember_moving(pool)
        return
    if endpoint.address is None:
        return
    place = (endpoint.address, endpoint.port)
    known = _pools.get(place)
    if (known is None and len(_pools) >= LIMIT) or (known is not None and known() is not None):
        return
    _keep(_pools, place, pool)


def remember_moving(thing: Any) -> None:
    """Remember a cluster client or a Sentinel pool that the program uses."""
    for key, known in tuple(_moving.items()):
        if known() is None:
            _moving.pop(key, None)
    if len(_moving) < LIMIT:
        _keep(_moving, id(thing), thing)


def _keep(table: dict[Any, Callable[[], Any]], key: Any, thing: Any) -> None:
    try:
        table[key] = weakref.ref(thing)
    except TypeError:
        return  # its class allows no weak reference, and a strong one would keep it alive


def all_places() -> list[Place]:
    """Return the servers of all living pools, and the current servers of clusters and Sentinels; at most ``LIMIT``."""
    return list(_routes())


def _routes() -> dict[Place, ServerRoute]:
    routes: dict[Place, ServerRoute] = {}
    for place, known in tuple(_pools.items()):
        pool = known()
        if pool is not None:
            routes[place] = ServerRoute(pool, getattr(pool, "connection_class", None), pool.connection_kwargs)
    for known in tuple(_moving.values()):
        thing = known()
        if thing is None:
            continue
        for host, port, connection_class, kwargs in connection_pools.servers_behind(thing):
            routes.setdefault(
                (host, port), ServerRoute(thing, connection_class, {**kwargs, "host": host, "port": port})
            )
    return dict(tuple(routes.items())[:LIMIT])


def new_connection(place: Place) -> Any | None:
    """Create a sync connection to a server for the probe, not opened yet; None if it is not known how to reach it.

    It gets the address, credentials and TLS arguments of the program's connections, and timeouts of 2 s.
    """
    route = _routes().get(place)
    if route is None:
        return None
    module: Any = clients.load(connection_pools.package_of(route.owner), "connection")
    kind = _sync_class(module, route.connection_class)
    accepted = connection_pools.accepted_keys(kind)
    kwargs = {
        key: value
        for key, value in route.kwargs.items()
        if (key in _KEPT or key.startswith("ssl_")) and key in accepted
    }
    short = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S, "health_check_interval": 0}
    return kind(**kwargs, **{key: value for key, value in short.items() if key in accepted})


def _sync_class(module: Any, used: Any) -> Any:
    """Return the class of the pool's connections, or the equivalent class without asyncio and without Sentinel."""
    name = getattr(used, "__name__", "")
    sync = getattr(module, "AbstractConnection", module.Connection)
    if "Sentinel" not in name and isinstance(used, type) and issubclass(used, sync):
        return used
    if "Unix" in name:
        return module.UnixDomainSocketConnection
    return module.SSLConnection if "SSL" in name else module.Connection
