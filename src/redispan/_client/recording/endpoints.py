"""Finds the ``Endpoint`` of a client, pool or connection.

The endpoint is stored on the object, so that a later call costs one attribute read.
"""

from __future__ import annotations

from typing import Any

from redispan._client.internals import clients
from redispan._client.probe import targets
from redispan._core.operation import OTHER_ENDPOINTS, Endpoint

_LIMIT = 1000
"""The most endpoints that are kept apart. All others share one, which bounds memory and the number of label sets."""

_interned: dict[tuple[str | None, int | None, str | None, bool, bool], Endpoint] = {}


def intern(address: str | None, port: int | None, db: str | None, late: bool = False, cached: bool = False) -> Endpoint:
    """Return the one ``Endpoint`` with these values; ``OTHER_ENDPOINTS`` if there are too many.

    ``Endpoint`` documents the arguments.
    """
    key = (address, port, db, late, cached)
    found = _interned.get(key)
    if found is None:
        if len(_interned) >= _LIMIT:
            return OTHER_ENDPOINTS
        found = _interned.setdefault(key, Endpoint(address, port, db, late=late, cached=cached))
    return found


def of_client(client: Any) -> Endpoint:
    """Return the endpoint of a standalone or Sentinel client, or of any other object with a ``connection_pool``."""
    pool = client.connection_pool
    try:
        found: Endpoint = pool._redispan_endpoint
        return found
    except AttributeError:
        endpoint = intern(*clients.place_of_pool(pool), cached=clients.has_client_side_cache(pool))
        targets.remember_pool(pool, endpoint)
        return _remember(pool, endpoint)


def of_cluster(client: Any) -> Endpoint:
    """Return the endpoint of a cluster client or pipeline. It counts until the node that answers is known."""
    try:
        found: Endpoint = client._redispan_endpoint
        return found
    except AttributeError:
        return _of_cluster_behind(client)


def _of_cluster_behind(client: Any) -> Endpoint:
    cluster = clients.cluster_client_of(client)
    found: Endpoint | None = getattr(cluster, "_redispan_endpoint", None)
    if found is not None:
        return found
    address, port = clients.place_of_cluster(cluster)
    endpoint = intern(address, port, "0", late=True, cached=clients.cluster_has_client_side_cache(cluster))
    if address is None:
        return endpoint
    targets.remember_moving(cluster)
    return _remember(cluster, endpoint)


def of_connection(connection: Any, fallback: Endpoint) -> Endpoint:
    """Return the endpoint that a connection of a cluster or Sentinel pool really went to.

    Args:
        connection: The connection.
        fallback: The endpoint to return if the connection has no address. It also gives the database if the connection
            has none.
    """
    found: Endpoint | None = getattr(connection, "_redispan_endpoint", None)
    # After a failover, a connection of a Sentinel pool has another address.
    if found is not None and found.address == connection.host and found.port == connection.port:
        return found
    address, port, db = clients.place_of_connection(connection)
    return fallback if address is None else _remember(connection, intern(address, port, db or fallback.db))


def _remember(owner: Any, endpoint: Endpoint) -> Endpoint:
    try:
        owner._redispan_endpoint = endpoint
    except Exception:
        # The object accepts no attribute. The endpoint is found again at every call, which is slower but correct.
        return endpoint
    return endpoint


def of_cluster_pubsub(pubsub: Any) -> Endpoint:
    """Return the endpoint of a cluster's PubSub object, from the cluster client that the object refers to."""
    return of_cluster(getattr(pubsub, "cluster", None) or getattr(pubsub, "_cluster", None) or pubsub)


def of_strategy(strategy: Any) -> Endpoint:
    """Return the endpoint of a cluster pipeline's execution strategy, from the pipeline that it refers to."""
    return of_cluster(getattr(strategy, "_pipe", strategy))
