"""Which servers the program talks to and how each is reached: remembered, weakly, for the probe."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from redispan._client import pool_seam, seam
from redispan._core.operation import Endpoint

LIMIT = 64
"""Most servers probed by one process."""

Place = tuple[str, "int | None"]

_KEPT = frozenset({"host", "port", "path", "username", "password", "credential_provider", "socket_type"})
_TIMEOUT_S = 2.0

_pools: dict[Place, Callable[[], Any]] = {}


def note(pool: Any, endpoint: Endpoint) -> None:
    """A client uses ``pool``, which leads to ``endpoint``; clusters and Sentinels, whose servers change, are not."""
    if endpoint.address is None or endpoint.late:
        return
    place = (endpoint.address, endpoint.port)
    known = _pools.get(place)
    if (known is None and len(_pools) >= LIMIT) or (known is not None and known() is not None):
        return
    try:
        _pools[place] = weakref.ref(pool)
    except TypeError:
        return  # of a class that can't be referred to weakly: it isn't worth keeping it alive


def all_places() -> list[Place]:
    """The servers whose pools still live."""
    return [place for place, pool in tuple(_pools.items()) if pool() is not None]


def new_connection(place: Place) -> Any | None:
    """A sync connection of the probe's own to a server, not opened yet; None if there is no way to make one."""
    pool = _pools.get(place, lambda: None)()
    if pool is None:
        return None
    module: Any = seam.load(pool_seam.package_of(pool), "connection")
    kind = _sync_class(module, getattr(pool, "connection_class", None))
    accepted = pool_seam.accepted_keys(kind)
    kwargs = {
        key: value
        for key, value in pool.connection_kwargs.items()
        if (key in _KEPT or key.startswith("ssl_")) and key in accepted
    }
    short = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S, "health_check_interval": 0}
    return kind(**kwargs, **{key: value for key, value in short.items() if key in accepted})


def _sync_class(module: Any, used: Any) -> Any:
    """The class of the pool's connections, or what does the same without asyncio."""
    if isinstance(used, type) and issubclass(used, getattr(module, "AbstractConnection", module.Connection)):
        return used
    name = getattr(used, "__name__", "")
    if "Unix" in name:
        return module.UnixDomainSocketConnection
    return module.SSLConnection if "SSL" in name else module.Connection
