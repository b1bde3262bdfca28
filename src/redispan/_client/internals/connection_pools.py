"""Private attributes of redis-py's pools, sockets and parsers, for the pool layer.

The rules of ``clients`` apply: each function returns a harmless value for an object that it does not understand, and a
canary test checks it for each supported version. A few functions also change redis-py's objects: they set a socket
timeout, take a connection out of a pool, or lend one.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Iterable
from typing import Any

from redispan._client.internals import clients

UNLIMITED = 2**31


@functools.cache
def library_limit(package: str) -> int:
    """Return the default of ``max_connections`` in ``package``.

    The value comes from the signature of ``ConnectionPool.__init__``. A default that is not a number means 100 for
    redis-py 8 and newer, and ``UNLIMITED`` for every other version. An unreadable signature means ``UNLIMITED``.
    """
    module: Any = clients.load(package, "connection")
    try:
        source = inspect.signature(module.ConnectionPool.__init__)
        default = source.parameters["max_connections"].default
        if isinstance(default, int):
            return default
    except Exception:
        return UNLIMITED
    return 100 if package == "redis" and clients.version_of(clients.load(package, "")) >= (8,) else UNLIMITED


@functools.cache
def library_read_timeout_s(package: str) -> float | None:
    """Return the default of ``socket_timeout`` in ``package``, in seconds; None if there is no timeout."""
    module: Any = clients.load(package, "connection")
    try:
        found = inspect.signature(module.AbstractConnection.__init__).parameters["socket_timeout"].default
    except Exception:
        return None
    return float(found) if isinstance(found, (int, float)) else None


def package_of(thing: Any) -> str:
    """Return the package that the class of ``thing`` comes from: ``redis`` or ``valkey``; else ``redis``."""
    for cls in type(thing).__mro__:
        top = cls.__module__.partition(".")[0]
        if top in ("redis", "valkey"):
            return top
    return "redis"


@functools.lru_cache(maxsize=256)
def accepted_keys(connection_class: Any) -> frozenset[str]:
    """Return the names of all parameters of the class's ``__init__`` methods, those of its base classes included.

    The result is empty for an object that is not a class.
    """
    names: set[str] = set()
    for cls in getattr(connection_class, "__mro__", ()):
        init = vars(cls).get("__init__")
        if init is None:
            continue
        try:
            names.update(inspect.signature(init).parameters)
        except (TypeError, ValueError):
            continue
    return frozenset(names)


def set_socket_timeout(connection: Any, timeout_s: float | None) -> None:
    """Set the read timeout of an open sync connection, in seconds; None for no timeout.

    The parser also gets the value, because it restores its own copy after a timed read.
    """
    sock = getattr(connection, "_sock", None)
    if sock is None:
        return
    sock.settimeout(timeout_s)
    parser: Any = getattr(connection, "_parser", None)
    buffer: Any = getattr(parser, "_buffer", None)
    if hasattr(buffer, "socket_timeout"):
        buffer.socket_timeout = timeout_s
    elif hasattr(parser, "_socket_timeout"):
        parser._socket_timeout = timeout_s


def leased(pool: Any) -> list[Any]:
    """Return the connections that are lent out; empty for a pool that does not keep a set of them."""
    # The interpreter runs list() of a set as one step, so no lock is needed while other threads add and remove.
    return list(getattr(pool, "_in_use_connections", ()))


def lent(pool: Any) -> int:
    """Return how many connections are lent out; 0 for a pool that does not keep a set of them."""
    return len(getattr(pool, "_in_use_connections", ()))


def is_full(pool: Any) -> bool:
    """Return whether a sync pool has created as many connections as it may."""
    return bool(pool._created_connections >= pool.max_connections)


def created(pool: Any) -> int:
    """Return how many connections a sync pool has created and still has."""
    return int(pool._created_connections)


def total(pool: Any) -> int:
    """Return how many connections an async pool has, lent out and free."""
    return len(pool._in_use_connections) + len(pool._available_connections)


def has_free(pool: Any) -> bool:
    """Return whether the pool could lend a connection at once: a free one or a new one."""
    if pool._available_connections:
        return True
    if hasattr(pool, "_created_connections"):
        return not is_full(pool)
    return bool(len(pool._in_use_connections) < pool.max_connections)


def take_surplus(pool: Any, connection: Any, allowed: int) -> bool:
    """Take a free connection out of a sync pool that has more than ``allowed`` connections.

    Returns:
        Whether the connection was taken out. The caller then closes it.
    """
    with pool._lock:
        if pool._created_connections <= allowed or connection not in pool._available_connections:
            return False
        pool._available_connections.remove(connection)
        pool._created_connections -= 1
    return True


def take_surplus_async(pool: Any, connection: Any, allowed: int) -> bool:
    """The async version of ``take_surplus``. It runs in one step of the event loop, so it needs no lock."""
    if total(pool) <= allowed or connection not in pool._available_connections:
        return False
    pool._available_connections.remove(connection)
    return True


def retry_of(connection: Any) -> Any:
    """Return the retry object of a connection; None if it has none."""
    return getattr(connection, "retry", None)


def retries_of(retry: Any) -> int:
    """Return how many times a retry object repeats an attempt; a negative number means without limit."""
    return int(getattr(retry, "_retries", 0))


def errors_of(retry: Any) -> tuple[type[BaseException], ...]:
    """Return the classes of the errors after which a retry object tries again."""
    return tuple(getattr(retry, "_supported_errors", ()))


def backoff_of(retry: Any) -> Any:
    """Return the backoff of a retry object; None if it has none."""
    return getattr(retry, "_backoff", None)


def connected(connections: Iterable[Any]) -> int:
    """Return how many of ``connections`` have a socket. Entries that are None do not count."""
    return sum(1 for connection in connections if connection is not None and clients.is_open(connection))


def close_if_ended(connection: Any) -> bool:
    """Close an idle async connection whose server has gone, so that its next use opens a new one.

    The server has gone if the connection's reader is at its end or holds an exception.

    redis-py 8.1 lends such connections from pools that take maintenance notifications, and cluster nodes lend them in
    every version. The library relies on its retries for them, but a retry would repeat writes.

    Returns:
        Whether the server had gone and the connection was closed.
    """
    reader = getattr(connection, "_reader", None)
    if reader is None:
        return False
    failure = getattr(reader, "exception", None)  # fake connections have no such method
    if not reader.at_eof() and (failure is None or failure() is None):
        return False
    connection._close()
    return True


def is_of_this_process(connection: Any) -> bool:
    """Return whether a connection was opened in this process, not inherited over a fork.

    Async connections have no ``pid``, so the answer for them is always True.
    """
    return getattr(connection, "pid", None) in (None, os.getpid())


_LENDING_UNDER_LOCK = frozenset({"_lock", "get_available_connection", "ensure_connection", "release", "BaseException"})


def lends_under_lock(get_connection: Any) -> bool:
    """Return whether an async pool connects while it holds its lock, one connection at a time.

    redis-py 5.1 to 7.0 do so. The answer is True only for a method that uses no other names than theirs, so an
    override that does more counts as False.
    """
    code = getattr(inspect.unwrap(get_connection), "__code__", None)
    names = frozenset(getattr(code, "co_names", ()))
    return "_lock" in names and "ensure_connection" in names and names <= _LENDING_UNDER_LOCK


async def lend_side_by_side(pool: Any, *_: Any, **__: Any) -> Any:
    """Lend a connection of an async pool and connect it outside the pool's lock, as redis-py 7.1 and newer do.

    This replaces a method for which ``lends_under_lock`` is True. Other arguments than the pool are ignored.
    """
    async with pool._lock:
        connection = pool.get_available_connection()
    try:
        await pool.ensure_connection(connection)
    except BaseException:
        await pool.release(connection)
        raise
    return connection


def queue_is_empty(pool: Any) -> bool:
    """Return whether a sync ``BlockingConnectionPool`` has no connection to lend at once."""
    try:
        return not pool.pool.queue
    except Exception:
        return False


def is_wait_timeout(error: BaseException) -> bool:
    """Return whether ``error`` means that a ``BlockingConnectionPool`` waited for a connection and got none."""
    return str(error) == "No connection available."


def close_reason(args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """Return why a connection is closed: ``health_check``, ``timeout``, ``error`` or ``application``.

    Args:
        args: The positional arguments of the call that closes the connection.
        kwargs: Its keyword arguments.
    """
    if kwargs.get("health_check_failed"):
        return "health_check"
    error = kwargs.get("error") or next((arg for arg in args if isinstance(arg, BaseException)), None)
    # Versions that do not pass the error close the connection inside the except block.
    error = error or sys.exc_info()[1]
    if error is None:
        return "application"
    return "timeout" if "Timeout" in type(error).__name__ or isinstance(error, TimeoutError) else "error"


def node_free(node: Any) -> Any:
    """Return the queue of free connections of an async cluster node."""
    return node._free


def node_connections(node: Any) -> tuple[list[Any], list[Any]]:
    """Return two lists for an async cluster node: all its connections, and those of them that are free."""
    return list(node._connections), list(node._free)


def nodes_of(cluster: Any) -> list[Any]:
    """Return the nodes that the cluster client knows now; empty if they cannot be read."""
    try:
        return list(cluster.nodes_manager.nodes_cache.values())
    except Exception:
        return []


def servers_behind(thing: Any) -> list[tuple[str, int | None, Any, dict[str, Any]]]:
    """Return the servers that a cluster client or a Sentinel pool uses now.

    For a cluster: its masters, and its replicas if the client reads from them. For a Sentinel pool: the master, once
    the program has connected to it, or the replicas that it is connected to. This is what the program itself sees, so
    the result follows a failover when the program does.

    Returns:
        Host, port, connection class and connection arguments of each server; empty if they cannot be read.
    """
    try:
        if hasattr(thing, "service_name"):
            places = [thing.master_address] if thing.is_master else _connected_places(thing)
            return [(*place, thing.connection_class, thing.connection_kwargs) for place in places if place is not None]
        everywhere = _reads_from_replicas(thing)
        return [found for node in nodes_of(thing) if (found := _way_to(node, everywhere)) is not None]
    except Exception:
        return []


def _connected_places(pool: Any) -> list[tuple[str, int]]:
    """Return the host and port of each server that the pool has an open connection to, without duplicates."""
    connections = [connection for part in lent_and_free(pool) for connection in part if clients.is_open(connection)]
    return list(dict.fromkeys((str(connection.host), int(connection.port)) for connection in connections))


def _reads_from_replicas(cluster: Any) -> bool:
    return bool(getattr(cluster, "read_from_replicas", False) or getattr(cluster, "load_balancing_strategy", None))


def _way_to(node: Any, everywhere: bool) -> tuple[str, int | None, Any, dict[str, Any]] | None:
    if not (everywhere or node.server_type == "primary"):
        return None
    # A sync node has a client, created when the node is first used. An async node is itself a pool.
    pool = node if hasattr(node, "connection_kwargs") else getattr(node.redis_connection, "connection_pool", None)
    return None if pool is None else (str(node.host), int(node.port), pool.connection_class, pool.connection_kwargs)


def lent_and_free(pool: Any) -> tuple[list[Any], list[Any]]:
    """Return two lists for a pool of any kind: the connections lent out, and the free ones."""
    if hasattr(pool, "_in_use_connections") and not _keeps_a_queue(pool):
        return leased(pool), list(pool._available_connections)
    free = [connection for connection in list(pool.pool.queue) if connection is not None]
    known = {id(connection) for connection in free}
    return [connection for connection in list(pool._connections) if id(connection) not in known], free


def _keeps_a_queue(pool: Any) -> bool:
    return hasattr(getattr(pool, "pool", None), "queue")


def own_waiters(pool: Any) -> int:
    """Return how many callers wait inside a ``BlockingConnectionPool``; 0 if that cannot be read."""
    try:
        if _keeps_a_queue(pool):
            return len(pool.pool.not_empty._waiters)
        return len(pool._condition._waiters)
    except Exception:
        return 0
