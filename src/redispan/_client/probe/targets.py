"""Which servers the program talks to and how each is reached: remembered, weakly, for the probe.

Standalone servers are remembered by their pool. Clusters and Sentinel-managed masters move: of those the cluster client
or the pool is remembered, and asked each time where it goes by now.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from redispan._client.internals import clients, connection_pools
from redispan._core.operation import Endpoint

LIMIT = 64
"""Most servers probed by one process."""

Place = tuple[str, "int | None"]


class Way(NamedTuple):
    """How a server is reached: what the program's own connections there are made of."""

    owner: Any
    connection_class: Any
    kwargs: dict[str, Any]


_KEPT = frozenset({"host", "port", "path", "username", "password", "credential_provider", "socket_type"})
_TIMEOUT_S = 2.0

_pools: dict[Place, Callable[[], Any]] = {}
_moving: dict[int, Callable[[], Any]] = {}
"""Cluster clients and pools of Sentinel-managed masters, by ``id``."""


def note(pool: Any, endpoint: Endpoint) -> None:
    """A client uses ``pool``, which leads to ``endpoint``, or to wherever Sentinel says."""
    if endpoint.late:
        note_moving(pool)
        return
    if endpoint.address is None:
        return
    place = (endpoint.address, endpoint.port)
    known = _pools.get(place)
    if (known is None and len(_pools) >= LIMIT) or (known is not None and known() is not None):
        return
    _keep(_pools, place, pool)


def note_moving(thing: Any) -> None:
    """A cluster client, or the pool of a Sentinel-managed master, is used."""
    for key, known in tuple(_moving.items()):
        if known() is None:
            _moving.pop(key, None)
    if len(_moving) < LIMIT:
        _keep(_moving, id(thing), thing)


def _keep(table: dict[Any, Callable[[], Any]], key: Any, thing: Any) -> None:
    try:
        table[key] = weakref.ref(thing)
    except TypeError:
        return  # of a class that can't be referred to weakly: it isn't worth keeping it alive


def all_places() -> list[Place]:
    """The servers whose pools still live, and those that clusters and Sentinels lead to by now."""
    return list(_ways())


def _ways() -> dict[Place, Way]:
    ways: dict[Place, Way] = {}
    for place, known in tuple(_pools.items()):
        pool = known()
        if pool is not None:
            ways[place] = Way(pool, getattr(pool, "connection_class", None), pool.connection_kwargs)
    for known in tuple(_moving.values()):
        thing = known()
        if thing is None:
            continue
        for host, port, connection_class, kwargs in connection_pools.servers_behind(thing):
            ways.setdefault((host, port), Way(thing, connection_class, {**kwargs, "host": host, "port": port}))
    return dict(tuple(ways.items())[:LIMIT])


def new_connection(place: Place) -> Any | None:
    """A sync connection of the probe's own to a server, not opened yet; None if there is no way to make one."""
    way = _ways().get(place)
    if way is None:
        return None
    module: Any = clients.load(connection_pools.package_of(way.owner), "connection")
    kind = _sync_class(module, way.connection_class)
    accepted = connection_pools.accepted_keys(kind)
    kwargs = {
        key: value for key, value in way.kwargs.items() if (key in _KEPT or key.startswith("ssl_")) and key in accepted
    }
    short = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S, "health_check_interval": 0}
    return kind(**kwargs, **{key: value for key, value in short.items() if key in accepted})


def _sync_class(module: Any, used: Any) -> Any:
    """The class of the pool's connections, or what does the same without asyncio and without Sentinel."""
    name = getattr(used, "__name__", "")
    sync = getattr(module, "AbstractConnection", module.Connection)
    if "Sentinel" not in name and isinstance(used, type) and issubclass(used, sync):
        return used
    if "Unix" in name:
        return module.UnixDomainSocketConnection
    return module.SSLConnection if "SSL" in name else module.Connection
