"""Applies the pool layer to the installed client packages, and undoes it.

The file holds the patch rows of the pool layer and ``PoolPatches``, which applies and undoes them. A shell patches the
class that defines the method, and wraps the recorder's shell. A shell does nothing for a pool without a ``PoolState``.
Undoing the patches leaves every pool as redis-py made it, tuned values included.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from redispan._client.internals import clients
from redispan._client.patching.patch import Addition, Patch
from redispan._client.patching.patch_table import PACKAGES
from redispan._client.pool import (
    blocking_lending,
    cluster,
    deadline,
    lending,
    making,
    returning,
    state,
    stats,
)
from redispan._client.pool import connecting as pool_connecting
from redispan._client.pool import sending as pool_sending
from redispan._client.pool import tuning as pool_tuning
from redispan._core.slot import SLOT
from redispan.settings.pool import PoolSettings

_log = logging.getLogger("redispan")

Build = Callable[[Callable[..., Any]], Any]
Row = tuple[str, str, str, Build]
"""One patch: module, class, method (alternatives separated by ``|``), and the function that builds the shell."""

_CONNECTION_DEFAULTS: dict[str, Any] = {
    "redispan_hold": None,
    "redispan_sent": None,
    "redispan_opening": False,
    "redispan_packing": False,
    "redispan_until_s": 0.0,
    "redispan_pool_state": None,
    "redispan_holder": 0,
}
"""Defaults on the connection class, so that redispan reads its attributes with one lookup, set or not."""


class PoolPatches:
    """The pool layer of a process, which holds at most one set of pool patches.

    The instrumentation and ``redispan.tuned_pool`` share it.

    Attributes:
        settings: The settings in force; None while the layer is not applied.
        only_by_hand: The layer serves only the pools that ``redispan.tuned_pool`` builds.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._patches: list[Patch] = []
        self.only_by_hand = False
        self._by_hand_wanted = False

    @property
    def settings(self) -> PoolSettings | None:
        """The settings in force, which every part of the layer reads from the runtime; None while the layer is off."""
        return SLOT.runtime.pool_settings

    def __bool__(self) -> bool:
        return self.settings is not None

    @property
    def applied(self) -> tuple[Patch, ...]:
        """The patches in place, in the order in which they were applied."""
        return tuple(self._patches)

    def apply(self, settings: PoolSettings) -> None:
        """Apply the layer with ``settings``.

        Another call replaces the settings for pools that the program builds from then on.
        """
        with self._lock:
            self._take_off()
            self._put_on(settings, only_by_hand=settings.pool == "off")

    def serve_by_hand(self) -> None:
        """Serve pools that ``redispan.tuned_pool`` builds, from now on and without the instrumentation."""
        with self._lock:
            self._by_hand_wanted = True
            if self.settings is None:
                self._put_on(PoolSettings(pool="off"), only_by_hand=True)

    def undo(self) -> None:
        """Undo the layer, except for the patches that pools built by ``redispan.tuned_pool`` need."""
        with self._lock:
            self._take_off()
            self._put_on(PoolSettings(pool="off"), only_by_hand=True)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Undo the layer while redispan applies or undoes other patches, then apply it on top of them again.

        A patch can be undone exactly only while it is the outermost one.
        """
        with self._lock:
            settings, only_by_hand = self.settings, self.only_by_hand
            if settings is not None:
                self._take_off()
            try:
                yield
            finally:
                if settings is not None:
                    self._put_on(settings, only_by_hand=only_by_hand)

    def _put_on(self, settings: PoolSettings, *, only_by_hand: bool) -> None:
        if only_by_hand and not self._by_hand_wanted:
            return
        SLOT.runtime.pool_settings = settings
        self.only_by_hand = only_by_hand
        SLOT.runtime.pool_sources.add_source(stats.read)
        for package, names in PACKAGES.items():
            if (
                clients.is_installed(package)
                and clients.version_of(clients.load(package, "")) >= clients.MINIMUM_VERSION
            ):
                try:
                    self._apply_to(package, names)
                except Exception as fault:
                    _log.error("redispan: the pools of %s are left alone: %s", package, type(fault).__name__)

    def _take_off(self) -> None:
        SLOT.runtime.pool_sources.remove_source(stats.read)
        while self._patches:
            self._patches.pop().undo()
        # The attributes on connection classes stay: connections of then may still be read by shells that another
        # tool kept, and they cost nothing.
        SLOT.runtime.pool_settings = None

    def _apply_to(self, package: str, names: dict[str, str]) -> None:
        self._set_defaults(package, names)
        for module, owner_name, method, build in _rows(package):
            owner = getattr(clients.load(package, module), owner_name.format(**names), None)
            found = next((name for name in method.split("|") if hasattr(owner, name)), None)
            if owner is None or found is None:
                _log.debug("redispan: %s has no %s.%s; not patched", package, owner_name, method)
                continue
            self._patches.append(Patch(owner, found, build))
        for module in ("connection", "asyncio.connection"):
            self._bound_connecting(getattr(clients.load(package, module), "AbstractConnection", None))

    def _bound_connecting(self, owner: Any) -> None:
        name = "socket_connect_timeout"
        if owner is None:
            return
        own = vars(owner).get(name)
        if own is None:
            self._patches.append(Addition(owner, name, deadline.TimeLeft(None)))
        elif hasattr(own, "__get__") and hasattr(own, "__set__"):
            self._patches.append(Patch(owner, name, lambda _: deadline.TimeLeft(own)))

    def _set_defaults(self, package: str, names: dict[str, str]) -> None:
        for module, is_async in (("connection", False), ("asyncio.connection", True)):
            loaded = clients.load(package, module)
            _set_missing(loaded, "AbstractConnection", {**_CONNECTION_DEFAULTS, "redispan_is_async": is_async})
            _set_missing(loaded, "ConnectionPool", {"redispan_state": None})
            if hasattr(loaded, "CacheProxyConnection"):
                _set_missing(loaded, "CacheProxyConnection", {name: _through(name) for name in _CONNECTION_DEFAULTS})
        for module in ("cluster", "asyncio.cluster"):
            _set_missing(clients.load(package, module), names["cluster"], {"redispan_cluster": None})


def _set_missing(module: Any, owner_name: str, values: dict[str, Any]) -> None:
    owner = getattr(module, owner_name, None)
    if owner is None:
        return
    for name, value in values.items():
        if name not in vars(owner):
            setattr(owner, name, value)


def _through(name: str) -> property:
    """Return a property of a caching connection that reads and writes the inner connection's attribute."""

    def read(self: Any) -> Any:
        return getattr(self._conn, name)

    def write(self: Any, value: Any) -> None:
        setattr(self._conn, name, value)

    return property(read, write)


def _rows(package: str) -> list[Row]:
    rows = [*_watching_rows(package)]
    # The budget of blocking commands and the making of connections also serve pools tuned by hand.
    rows += _connection_rows()
    if pool_sending.may_lose_cancellations(package):
        shell = pool_sending.async_send_packed_shell
        rows.append(("asyncio.connection", "AbstractConnection", "send_packed_command", shell))
    rows += _cluster_rows()
    return rows


def _watching_rows(package: str) -> list[Row]:
    sync = pool_tuning.Tuning(package, is_async=False)
    asynchronous = pool_tuning.Tuning(package, is_async=True)

    def client_init(tuning: pool_tuning.Tuning) -> Build:
        return lambda original: pool_tuning.client_init_shell(original, tuning)

    def pool_init(tuning: pool_tuning.Tuning) -> Build:
        return lambda original: pool_tuning.pool_init_shell(original, tuning, state.attach)

    def cluster_init(tuning: pool_tuning.Tuning) -> Build:
        return lambda original: pool_tuning.cluster_init_shell(original, tuning, cluster.after_init)

    return [
        ("client", "{client}", "__init__", client_init(sync)),
        ("asyncio.client", "{client}", "__init__", client_init(asynchronous)),
        ("connection", "ConnectionPool", "__init__", pool_init(sync)),
        ("asyncio.connection", "ConnectionPool", "__init__", pool_init(asynchronous)),
        ("cluster", "{cluster}", "__init__", cluster_init(sync)),
        ("asyncio.cluster", "{cluster}", "__init__", cluster_init(asynchronous)),
        ("connection", "ConnectionPool", "get_connection", lending.get_connection_shell),
        ("connection", "ConnectionPool", "release", returning.release_shell),
        ("connection", "ConnectionPool", "make_connection", making.make_connection_shell),
        ("connection", "ConnectionPool", "disconnect", returning.disconnect_shell),
        (
            "connection",
            "BlockingConnectionPool",
            "get_connection",
            blocking_lending.blocking_get_shell,
        ),
        ("connection", "BlockingConnectionPool", "release", returning.release_shell),
        ("connection", "BlockingConnectionPool", "make_connection", making.making_shell),
        ("connection", "BlockingConnectionPool", "disconnect", returning.disconnect_shell),
        (
            "asyncio.connection",
            "ConnectionPool",
            "get_connection",
            lending.async_get_connection_shell,
        ),
        ("asyncio.connection", "ConnectionPool", "release", returning.async_release_shell),
        ("asyncio.connection", "ConnectionPool", "make_connection", making.making_shell),
        ("asyncio.connection", "ConnectionPool", "get_available_connection", making.get_available_shell),
        ("asyncio.connection", "ConnectionPool", "disconnect", returning.async_disconnect_shell),
        (
            "asyncio.connection",
            "BlockingConnectionPool",
            "get_connection",
            blocking_lending.async_blocking_get_shell,
        ),
    ]


def _connection_rows() -> list[Row]:
    connecting, sending = pool_connecting, pool_sending
    return [
        ("connection", "AbstractConnection", "send_command", sending.send_command_shell),
        ("connection", "AbstractConnection", "pack_commands", sending.pack_commands_shell),
        ("connection", "AbstractConnection", "connect_check_health|connect", connecting.connect_shell),
        ("connection", "AbstractConnection", "_send_ping", connecting.health_check_shell),
        ("connection", "AbstractConnection", "disconnect", connecting.close_shell),
        ("asyncio.connection", "AbstractConnection", "pack_command", sending.async_pack_command_shell),
        ("asyncio.connection", "AbstractConnection", "pack_commands", sending.async_pack_commands_shell),
        ("asyncio.connection", "AbstractConnection", "connect_check_health|connect", connecting.async_connect_shell),
        ("asyncio.connection", "AbstractConnection", "_send_ping", connecting.async_health_check_shell),
        ("asyncio.connection", "AbstractConnection", "disconnect", connecting.async_close_shell),
    ]


def _cluster_rows() -> list[Row]:
    return [
        ("cluster", "NodesManager", "initialize", deadline.topology_shell),
        ("asyncio.cluster", "{cluster}", "initialize", deadline.async_topology_shell),
        ("cluster", "{cluster}", "_execute_command", cluster.node_call_shell),
        ("cluster", "{cluster}", "execute_command", cluster.call_shell),
        ("cluster", "ClusterPipeline", "execute", cluster.batch_shell),
        ("asyncio.cluster", "{cluster}", "_execute_command", cluster.async_node_call_shell),
        ("asyncio.cluster", "{cluster}", "execute_command", cluster.async_call_shell),
        ("asyncio.cluster", "ClusterPipeline", "execute", cluster.async_batch_shell),
        ("asyncio.cluster", "ClusterNode", "execute_command", cluster.node_execute_shell),
        ("asyncio.cluster", "ClusterNode", "acquire_connection", cluster.node_acquire_shell),
        ("asyncio.cluster", "ClusterNode", "disconnect", cluster.node_disconnect_shell),
        ("asyncio.cluster", "ClusterNode", "execute_pipeline", cluster.node_execute_shell),
    ]


POOL_PATCHES = PoolPatches()
"""The pool layer of the current process."""
