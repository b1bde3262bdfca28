"""The one module that knows the private attributes of redis-py and how its versions differ.

Everything here is read-only towards redis-py, returns plain values, and gives a harmless answer for objects it does
not understand (fakes, subclasses, future versions). A canary test per supported version holds it.
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
    """The module ``package.module``, or None where it isn't installed or doesn't import."""
    try:
        return importlib.import_module(f"{package}.{module}" if module else package)
    except Exception:
        return None


def is_installed(package: str) -> bool:
    """Whether ``package`` can be found, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except Exception:
        return False


def version_of(package: Any) -> tuple[int, ...]:
    """The package's own version, as numbers; ``()`` if it doesn't tell.

    From the package rather than from the installed metadata: where PYTHONPATH shadows a pinned redis-py, the metadata
    speaks of one and the program runs the other.
    """
    numbers: list[int] = []
    for part in str(getattr(package, "__version__", "")).split("."):
        digits = "".join(ch for ch in part if ch.isdigit())
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def is_supported(package: str) -> bool:
    """Whether ``package`` imports and is new enough to be patched."""
    return version_of(load(package, "")) >= MINIMUM_VERSION


def peer_of(connection: Any) -> Peer | None:
    """Address and port of the other end of an open connection; the path and None for a UNIX socket."""
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
    """Whether the connection has a socket."""
    return getattr(connection, "_sock", None) is not None or getattr(connection, "_writer", None) is not None


def place_of_connection(connection: Any) -> tuple[str | None, int | None, str | None]:
    """``(address, port, db)`` that a connection object points at."""
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
    """``(address, port, db, late)`` of a pool; late for Sentinel pools, whose server is found on connecting."""
    kwargs = pool.connection_kwargs
    db = str(kwargs.get("db") or 0)
    if hasattr(pool, "service_name"):
        return None, None, db, True
    path = kwargs.get("path")
    if path:
        return str(path), None, db, False
    return str(kwargs.get("host") or "localhost"), _port(kwargs.get("port") or 6379), db, False


def place_of_cluster(client: Any) -> tuple[str | None, int | None]:
    """Host and port of the cluster's default or first start-up node, before the answering node is known."""
    cluster = cluster_client_of(client)
    manager = getattr(cluster, "nodes_manager", None)
    node = getattr(manager, "default_node", None)
    if node is None:
        node = next(iter(dict(getattr(manager, "startup_nodes", None) or {}).values()), None)
    if node is None:
        return None, None
    return str(node.host), _port(node.port)


def cluster_client_of(client: Any) -> Any:
    """The RedisCluster behind a cluster pipeline; the client itself otherwise."""
    for name in ("cluster_client", "_client"):
        found = getattr(client, name, None)
        if found is not None and hasattr(found, "nodes_manager"):
            return found
    return client


def queued_commands(pipeline: Any) -> Sequence[Sequence[Any]]:
    """The argument lists queued in a pipeline of any kind and version."""
    strategy = getattr(pipeline, "_execution_strategy", None)
    stack = (
        getattr(strategy, "_command_queue", None)
        or getattr(pipeline, "command_stack", None)
        or getattr(pipeline, "_command_stack", None)
        or ()
    )
    # Standalone pipelines queue (args, options) pairs, cluster pipelines objects with .args.
    if stack and type(stack[0]) is tuple:
        return list(map(_FIRST, stack))
    return [entry.args for entry in stack]


def is_transaction(pipeline: Any) -> bool:
    """Whether executing the pipeline sends MULTI and EXEC around it."""
    strategy = getattr(pipeline, "_execution_strategy", None)
    if strategy is not None:
        return type(strategy).__name__.startswith("Transaction")
    return bool(
        getattr(pipeline, "is_transaction", getattr(pipeline, "transaction", False)) is True
        or getattr(pipeline, "explicit_transaction", False)
    )


def is_redirect(error: Any) -> bool:
    """Whether an error is a MOVED or ASK answer."""
    return hasattr(error, "slot_id") and hasattr(error, "node_addr")


def is_pipeline(client: Any) -> bool:
    """Whether commands given to it are queued rather than sent."""
    return hasattr(type(client), "execute")


def has_client_side_cache(pool: Any) -> bool:
    """Whether answers may come from the client-side cache without the network."""
    return getattr(pool, "cache", None) is not None


def cluster_has_client_side_cache(cluster: Any) -> bool:
    """Likewise of a cluster client, whose nodes share one cache."""
    return getattr(getattr(cluster, "nodes_manager", None), "_cache", None) is not None


def native_config() -> Any | None:
    """The configuration of redis-py's own metrics; None while they are off."""
    providers = load("redis", "observability.providers")
    manager = None if providers is None else providers.get_observability_instance().get_provider_manager()
    return None if manager is None else manager.config


def native_collectors() -> list[Any]:
    """What redis-py measures with, sync and asyncio: None each until its first measurement."""
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
"""Attribute of a shell that sees to the start, or that has such a shell below it."""


def is_cluster_start_due(cluster: Any) -> bool:
    """Whether the client is one of ours to start."""
    policy = getattr(cluster, "redispan_cluster", None)
    return policy is not None and not policy.started


async def start_cluster(cluster: Any) -> None:
    """Start it; what fails is the caller's, and the next command tries again."""
    await cluster.initialize()
    cluster.redispan_cluster.started = True
