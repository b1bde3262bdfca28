"""Private attributes of redis-py's clients, pipelines and connections, and how they differ between versions.

The functions here read attributes and return plain values. For an object that they do not understand (a fake, a
subclass, a future version) they return a harmless value. A canary test checks them for each supported version. Only
``start_cluster`` changes an object of redis-py. The module for pools, sockets and parsers is ``connection_pools``.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
from collections.abc import Sequence
from typing import Any

MINIMUM_VERSION = (5, 0)

Peer = tuple[str, "int | None"]

_FIRST = operator.itemgetter(0)


def load(package: str, module: str) -> Any | None:
    """Import and return ``package.module``; None if it is not installed or its import fails.

    An empty ``module`` means the package itself.
    """
    try:
        return importlib.import_module(f"{package}.{module}" if module else package)
    except Exception:
        return None


def is_installed(package: str) -> bool:
    """Return whether ``package`` can be found, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except Exception:
        return False


def version_of(package: Any) -> tuple[int, ...]:
    """Return the version in ``package.__version__`` as a tuple of numbers; ``()`` if there is none.

    The installed metadata is not used. If PYTHONPATH shadows a pinned redis-py, the metadata names the pinned version,
    but the program runs the other one.
    """
    numbers: list[int] = []
    for part in str(getattr(package, "__version__", "")).split("."):
        digits = "".join(ch for ch in part if ch.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def is_supported(package: str) -> bool:
    """Return whether ``package`` imports and is at least ``MINIMUM_VERSION``, so that it can be patched."""
    return version_of(load(package, "")) >= MINIMUM_VERSION


def peer_of(connection: Any) -> Peer | None:
    """Return the address and port of the other end of an open connection; ``(path, None)`` for a UNIX socket.

    Returns None if the connection is not open or its peer cannot be read.
    """
    try:
        path = getattr(connection, "path", None)
        if path:
            return str(path), None
        sock = getattr(connection, "_sock", None)
        if sock is not None:
            name = sock.getpeername()
        else:
            writer = getattr(connection, "_writer", None)
            if writer is None:
                return None
            name = writer.get_extra_info("peername")
        return str(name[0]), int(name[1])
    except Exception:
        return None


def is_open(connection: Any) -> bool:
    """Return whether the connection has a socket (sync) or a stream writer (async)."""
    return getattr(connection, "_sock", None) is not None or getattr(connection, "_writer", None) is not None


def place_of_connection(connection: Any) -> tuple[str | None, int | None, str | None]:
    """Return the ``(address, port, db)`` that a connection is configured for; None for each unknown part.

    For a UNIX socket the address is its path and the port is None.
    """
    db = getattr(connection, "db", None)
    db_text = None if db is None else str(db)
    path = getattr(connection, "path", None)
    if path:
        return str(path), None, db_text
    host = getattr(connection, "host", None)
    if host is None:
        return None, None, db_text
    return str(host), _port(getattr(connection, "port", None)), db_text


def place_of_pool(pool: Any) -> tuple[str | None, int | None, str | None, bool]:
    """Return the ``(address, port, db, late)`` of a pool.

    ``late`` is True for a Sentinel pool, which finds its server only when it connects.
    """
    kwargs = pool.connection_kwargs
    db = str(kwargs.get("db") or 0)
    if hasattr(pool, "service_name"):
        return None, None, db, True
    path = kwargs.get("path")
    if path:
        return str(path), None, db, False
    return str(kwargs.get("host") or "localhost"), _port(kwargs.get("port") or 6379), db, False


def place_of_cluster(client: Any) -> tuple[str | None, int | None]:
    """Return the host and port of the cluster's default node, or else of its first start-up node.

    They describe the cluster until the node that answers is known. Returns ``(None, None)`` if there is neither.
    """
    cluster = cluster_client_of(client)
    manager = getattr(cluster, "nodes_manager", None)
    node = getattr(manager, "default_node", None)
    if node is None:
        node = next(iter(dict(getattr(manager, "startup_nodes", None) or {}).values()), None)
    if node is None:
        return None, None
    return str(node.host), _port(node.port)


def cluster_client_of(client: Any) -> Any:
    """Return the ``RedisCluster`` of a cluster pipeline; for any other client, the client itself."""
    for name in ("cluster_client", "_client"):
        found = getattr(client, name, None)
        if found is not None and hasattr(found, "nodes_manager"):
            return found
    return client


def queued_commands(pipeline: Any) -> Sequence[Sequence[Any]]:
    """Return the argument lists that are queued in a pipeline of any kind and version."""
    strategy = getattr(pipeline, "_execution_strategy", None)
    stack = (
        getattr(strategy, "_command_queue", None)
        or getattr(pipeline, "command_stack", None)
        or getattr(pipeline, "_command_stack", None)
        or ()
    )
    # Standalone pipelines queue (args, options) pairs. Cluster pipelines queue objects with .args.
    if stack and type(stack[0]) is tuple:
        return list(map(_FIRST, stack))
    return [entry.args for entry in stack]


def is_transaction(pipeline: Any) -> bool:
    """Return whether ``execute`` sends the pipeline between MULTI and EXEC."""
    strategy = getattr(pipeline, "_execution_strategy", None)
    if strategy is not None:
        return type(strategy).__name__.startswith("Transaction")
    return bool(
        getattr(pipeline, "is_transaction", getattr(pipeline, "transaction", False)) is True
        or getattr(pipeline, "explicit_transaction", False)
    )


def is_redirect(error: Any) -> bool:
    """Return whether an error is a MOVED or ASK redirect."""
    return hasattr(error, "slot_id") and hasattr(error, "node_addr")


def is_pipeline(client: Any) -> bool:
    """Return whether ``client`` is a pipeline, which queues commands instead of sending them."""
    return hasattr(type(client), "execute")


def has_client_side_cache(pool: Any) -> bool:
    """Return whether the pool has a client-side cache, which can answer without the network."""
    return getattr(pool, "cache", None) is not None


def cluster_has_client_side_cache(cluster: Any) -> bool:
    """Return whether a cluster client has a client-side cache, which its nodes share."""
    return getattr(getattr(cluster, "nodes_manager", None), "_cache", None) is not None


def native_config() -> Any | None:
    """Return the configuration of redis-py's own metrics; None while they are off."""
    providers = load("redis", "observability.providers")
    manager = None if providers is None else providers.get_observability_instance().get_provider_manager()
    return None if manager is None else manager.config


def native_collectors() -> list[Any]:
    """Return redis-py's two metrics collectors: sync, then asyncio.

    Each is None until redis-py makes its first measurement with it.
    """
    return [
        getattr(load("redis", module), attribute, None)
        for module, attribute in (
            ("observability.recorder", "_metrics_collector"),
            ("asyncio.observability.recorder", "_async_metrics_collector"),
        )
    ]


def _port(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


STARTS_CLUSTER = "redispan_starts"
"""The attribute that marks a shell which starts the cluster client itself, or wraps a shell that does."""


def is_cluster_start_due(cluster: Any) -> bool:
    """Return whether redispan has to start the cluster client: its ``ClusterPolicy`` has not seen a start yet."""
    policy = getattr(cluster, "redispan_cluster", None)
    return policy is not None and not policy.started


async def start_cluster(cluster: Any) -> None:
    """Start an async cluster client.

    An error goes to the caller. The client then still counts as not started, so the next command tries again.
    """
    await cluster.initialize()
    cluster.redispan_cluster.started = True
