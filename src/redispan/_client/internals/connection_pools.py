"""What the pool layer knows of redis-py's private attributes: pools, sockets and parsers. The seam's second half.

The same rules as in ``seam``: a harmless answer for whatever is not understood, and a canary test per version.
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
    """How many connections a pool may have where nobody says otherwise."""
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
    """The read timeout that connections have where nobody says otherwise; None for none."""
    module: Any = clients.load(package, "connection")
    try:
        found = inspect.signature(module.AbstractConnection.__init__).parameters["socket_timeout"].default
    except Exception:
        return None
    return float(found) if isinstance(found, (int, float)) else None


def package_of(thing: Any) -> str:
    """The package whose classes ``thing`` is made of: ``redis`` or ``valkey``."""
    for cls in type(thing).__mro__:
        top = cls.__module__.partition(".")[0]
        if top in ("redis", "valkey"):
            return top
    return "redis"


@functools.lru_cache(maxsize=256)
def accepted_keys(connection_class: Any) -> frozenset[str]:
    """The keyword arguments that some ``__init__`` of the class names; none for what is not a class."""
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
    """Set the read timeout of an open sync connection, and what its parser goes back to after a timed read."""
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
    """The connections that are lent out, of pools that keep a set of them."""
    # list() of a set is one step for the interpreter: no lock is needed while other threads add and remove.
    return list(getattr(pool, "_in_use_connections", ()))


def lent(pool: Any) -> int:
    """How many connections are lent out, of pools that keep a set of them."""
    return len(getattr(pool, "_in_use_connections", ()))


def is_full(pool: Any) -> bool:
    """Whether a sync pool has made all the connections that it may."""
    return bool(pool._created_connections >= pool.max_connections)


def created(pool: Any) -> int:
    """How many connections a sync pool has made and still has."""
    return int(pool._created_connections)


def total(pool: Any) -> int:
    """How many connections an async pool has, lent out and free."""
    return len(pool._in_use_connections) + len(pool._available_connections)


def has_free(pool: Any) -> bool:
    """Whether a connection could be lent out at once, free or new."""
    if pool._available_connections:
        return True
    if hasattr(pool, "_created_connections"):
        return not is_full(pool)
    return bool(len(pool._in_use_connections) < pool.max_connections)


def take_surplus(pool: Any, connection: Any, allowed: int) -> bool:
    """Take a free connection out of a sync pool that has more than ``allowed``; the caller closes it."""
    with pool._lock:
        if pool._created_connections <= allowed or connection not in pool._available_connections:
            return False
        pool._available_connections.remove(connection)
        pool._created_connections -= 1
    return True


def take_surplus_async(pool: Any, connection: Any, allowed: int) -> bool:
    """Likewise for an async pool, in one step of the event loop."""
    if total(pool) <= allowed or connection not in pool._available_connections:
        return False
    pool._available_connections.remove(connection)
    return True


def retry_of(connection: Any) -> Any:
    """The retry object of a connection."""
    return getattr(connection, "retry", None)


def retries_of(retry: Any) -> int:
    """How often a retry object repeats; negative for ever."""
    return int(getattr(retry, "_retries", 0))


def errors_of(retry: Any) -> tuple[type[BaseException], ...]:
    """The errors that a retry object acts on."""
    return tuple(getattr(retry, "_supported_errors", ()))


def backoff_of(retry: Any) -> Any:
    """The backoff of a retry object."""
    return getattr(retry, "_backoff", None)


def connected(connections: Iterable[Any]) -> int:
    """How many of ``connections`` have a socket."""
    return sum(1 for connection in connections if connection is not None and clients.is_open(connection))


def close_if_ended(connection: Any) -> bool:
    """Close an idle async connection whose server has gone, so that its next use opens another; whether it was one.

    redis-py 8.1 lends such connections, in pools that take maintenance notifications, and cluster nodes do so in every
    version: the library counts on its retries, which would repeat writes.
    """
    reader = getattr(connection, "_reader", None)
    if reader is None:
        return False
    failure = getattr(reader, "exception", None)  # fakes have none
    if not reader.at_eof() and (failure is None or failure() is None):
        return False
    connection._close()
    return True


def is_of_this_process(connection: Any) -> bool:
    """Whether a connection was opened here, and not inherited over a fork; async ones don't say."""
    return getattr(connection, "pid", None) in (None, os.getpid())


_LENDING_UNDER_LOCK = frozenset({"_lock", "get_available_connection", "ensure_connection", "release", "BaseException"})


def lends_under_lock(get_connection: Any) -> bool:
    """Whether an async pool opens connections one after the other, as redis-py 5.1 to 7.0 do.

    Only of a method that does nothing else is it said.
    """
    code = getattr(inspect.unwrap(get_connection), "__code__", None)
    names = frozenset(getattr(code, "co_names", ()))
    return "_lock" in names and "ensure_connection" in names and names <= _LENDING_UNDER_LOCK


async def lend_side_by_side(pool: Any, *_: Any, **__: Any) -> Any:
    """What such a method does, with the connection opened outside the lock: as redis-py 7.1 and newer do."""
    async with pool._lock:
        connection = pool.get_available_connection()
    try:
        await pool.ensure_connection(connection)
    except BaseException:
        await pool.release(connection)
        raise
    return connection


def queue_is_empty(pool: Any) -> bool:
    """Whether a sync BlockingConnectionPool has nothing to lend at once."""
    try:
        return not pool.pool.queue
    except Exception:
        return False


def is_wait_timeout(error: BaseException) -> bool:
    """Whether a BlockingConnectionPool's own wait ended without a connection."""
    return str(error) == "No connection available."


def close_reason(args: tuple[object, ...], kwargs: dict[str, object]) -> str:
    """Why a connection is closed: ``health_check``, ``timeout``, ``error`` or ``application``."""
    if kwargs.get("health_check_failed"):
        return "health_check"
    error = kwargs.get("error") or next((arg for arg in args if isinstance(arg, BaseException)), None)
    # Versions that don't hand the error down close inside the except block.
    error = error or sys.exc_info()[1]
    if error is None:
        return "application"
    return "timeout" if "Timeout" in type(error).__name__ or isinstance(error, TimeoutError) else "error"


def node_free(node: Any) -> Any:
    """The queue of free connections of an async cluster node."""
    return node._free


def node_connections(node: Any) -> tuple[list[Any], list[Any]]:
    """All connections of an async cluster node, and those of them that are free."""
    return list(node._connections), list(node._free)


def nodes_of(cluster: Any) -> list[Any]:
    """The nodes that a cluster knows now."""
    try:
        return list(cluster.nodes_manager.nodes_cache.values())
    except Exception:
        return []


def servers_behind(thing: Any) -> list[tuple[str, int | None, Any, dict[str, Any]]]:
    """Host, port, connection class and arguments of the servers that a cluster client or a Sentinel's pool goes to now.

    Of a cluster its masters, and its replicas if it reads from those; of a Sentinel's pool the master, once the program
    has connected to it, or the replicas that it is connected to: as the program sees it, so that a failover is followed
    when the program does.
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
    """Where the open connections of a pool lead, each place once."""
    connections = [connection for part in lent_and_free(pool) for connection in part if clients.is_open(connection)]
    return list(dict.fromkeys((str(connection.host), int(connection.port)) for connection in connections))


def _reads_from_replicas(cluster: Any) -> bool:
    return bool(getattr(cluster, "read_from_replicas", False) or getattr(cluster, "load_balancing_strategy", None))


def _way_to(node: Any, everywhere: bool) -> tuple[str, int | None, Any, dict[str, Any]] | None:
    if not (everywhere or node.server_type == "primary"):
        return None
    # A sync node keeps a client of its own, which it may not have needed yet; an async one is its own pool.
    pool = node if hasattr(node, "connection_kwargs") else getattr(node.redis_connection, "connection_pool", None)
    return None if pool is None else (str(node.host), int(node.port), pool.connection_class, pool.connection_kwargs)


def lent_and_free(pool: Any) -> tuple[list[Any], list[Any]]:
    """The connections lent out, and the free ones, of a pool of any kind."""
    if hasattr(pool, "_in_use_connections") and not _keeps_a_queue(pool):
        return leased(pool), list(pool._available_connections)
    free = [connection for connection in list(pool.pool.queue) if connection is not None]
    known = {id(connection) for connection in free}
    return [connection for connection in list(pool._connections) if id(connection) not in known], free


def _keeps_a_queue(pool: Any) -> bool:
    return hasattr(getattr(pool, "pool", None), "queue")


def own_waiters(pool: Any) -> int:
    """Callers that wait inside a BlockingConnectionPool."""
    try:
        if _keeps_a_queue(pool):
            return len(pool.pool.not_empty._waiters)
        return len(pool._condition._waiters)
    except Exception:
        return 0
