"""Filling in what the program left unset when it builds clients, pools and clusters.

A key that the program gave, even as None, stays as it is. Only the outermost constructor knows what the program gave:
``Redis.__init__`` passes on every key, defaults included. Below it, in pools, each key that is present counts as given.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from typing import Any

from redispan._client.internals import connection_pools
from redispan._client.pool import retrying
from redispan._client.pool.values import TunedLimit, TunedNodeLimit, TunedSeconds, keepalive_options, settings_in_force
from redispan._core.slot import SLOT
from redispan.settings.pool import PoolSettings

Method = Callable[..., Any]

_RETRY_KEYS = ("retry", "retry_on_error", "retry_on_timeout")
_CLUSTER_RETRY_KEYS = (*_RETRY_KEYS, "cluster_error_retry_attempts", "connection_error_retry_attempts")

_untouched: ContextVar[bool] = ContextVar("redispan_untouched", default=False)
_by_hand: ContextVar[PoolSettings | None] = ContextVar("redispan_tuned_by_hand", default=None)


@contextmanager
def untouched() -> Iterator[None]:
    """Leave pools that are built inside the ``with`` block exactly as the program builds them."""
    token = _untouched.set(True)
    try:
        yield
    finally:
        _untouched.reset(token)


@contextmanager
def by_hand(settings: PoolSettings) -> Iterator[None]:
    """Tune pools that are built inside the ``with`` block by ``settings``, in place of the instrumentation's."""
    token = _by_hand.set(settings)
    try:
        yield
    finally:
        _by_hand.reset(token)


class Tuning:
    """The values that redispan fills in for one package, sync or async."""

    def __init__(self, package: str, *, is_async: bool) -> None:
        self.package = package
        self.is_async = is_async

    @property
    def settings(self) -> PoolSettings:
        """The settings in force here: those of an enclosing ``by_hand`` block, or else the instrumentation's."""
        return _by_hand.get() or settings_in_force()

    def applies(self, given: Mapping[str, Any]) -> bool:
        """Return whether redispan may tune what the program builds with ``given``."""
        if _untouched.get() or self.settings.pool != "tuned":
            return False
        return not is_excluded(place_name(given), self.settings)

    def fill(self, given: Mapping[str, Any], accepted: frozenset[str], default_retry: Any) -> dict[str, Any]:
        """Return the keys and values to add to ``given``, of those that are ``accepted``.

        Args:
            given: The arguments that the program gave.
            accepted: The keys that may be added.
            default_retry: The retry object that the library uses by default; None if it uses none.
        """
        settings = self.settings
        extra: dict[str, Any] = {}
        if default_retry is not None and settings.pool_retry and not any(key in given for key in _RETRY_KEYS):
            # The library's object would repeat everything that fails; redispan's repeats only what can't run twice.
            extra["retry"] = retrying.tuned_retry(self.package, default_retry, settings, is_async=self.is_async)
        if settings.pool_socket_timeout_s and not _repeats(given, extra.get("retry") or default_retry):
            # If other code repeats commands after a timeout, a lower timeout would make them run twice.
            extra["socket_timeout"] = TunedSeconds(settings.pool_socket_timeout_s)
        if settings.pool_connect_timeout_s:
            extra["socket_connect_timeout"] = TunedSeconds(_connect_timeout_s(given, settings))
        if settings.pool_keepalive:
            extra["socket_keepalive"] = True
            if given.get("socket_keepalive", True):
                extra["socket_keepalive_options"] = keepalive_options(settings)
        if settings.pool_health_check_s:
            extra["health_check_interval"] = settings.pool_health_check_s
        limit = self.limit()
        if limit is not None:
            extra["max_connections"] = limit
        return {key: value for key, value in extra.items() if key not in given and key in accepted}

    def limit(self) -> TunedLimit | None:
        """Return the limit for a pool whose limit the program left unset, or None if the library's applies."""
        settings = self.settings
        if not settings.pool_max_connections:
            return None
        soft = settings.pool_limit == "soft"
        ceiling = connection_pools.library_limit(self.package) if soft else settings.pool_max_connections
        return TunedLimit(settings.pool_max_connections, ceiling)


def place_name(given: Mapping[str, Any]) -> str:
    """Return ``host:port/db`` or ``path/db`` of keyword arguments: a pool's name without the number after it."""
    db = given.get("db") or 0
    path = given.get("path") or given.get("unix_socket_path")
    if path:
        return f"{path}/{db}"
    return f"{given.get('host') or 'localhost'}:{given.get('port') or 6379}/{db}"


def is_excluded(name: str, settings: PoolSettings) -> bool:
    """Return whether ``pool_exclude`` excludes the pool of this name."""
    return any(fnmatchcase(name, pattern) for pattern in settings.pool_exclude)


def _connect_timeout_s(given: Mapping[str, Any], settings: PoolSettings) -> float:
    # redis-py up to 7 falls back to the read timeout, and a program that set a shorter one must not wait longer now.
    read_timeout = given.get("socket_timeout")
    if isinstance(read_timeout, (int, float)) and 0 < read_timeout < settings.pool_connect_timeout_s:
        return float(read_timeout)
    return settings.pool_connect_timeout_s


def _repeats(given: Mapping[str, Any], default_retry: Any) -> bool:
    if given.get("retry_on_timeout") or given.get("retry_on_error"):
        return True
    retry = given.get("retry", default_retry)
    return retry is not None and not retrying.is_tuned(retry) and connection_pools.retries_of(retry) != 0


def _parameters(original: Method) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(original).parameters)
    found.pop("self", None)
    return found


def _positional_names(parameters: Mapping[str, inspect.Parameter]) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(name for name, parameter in parameters.items() if parameter.kind in kinds)


def _default_of(parameters: Mapping[str, inspect.Parameter], name: str) -> Any:
    found = parameters.get(name)
    return None if found is None or found.default is inspect.Parameter.empty else found.default


def client_init_shell(original: Method, tuning: Tuning) -> Method:
    """Wrap ``Redis.__init__``, the last place that knows what the program gave: fill in the rest."""
    parameters = _parameters(original)
    positional = _positional_names(parameters)
    accepted = frozenset(parameters)
    default_retry = _default_of(parameters, "retry")

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is that method
        extra: dict[str, Any] = {}
        try:
            given = {**dict(zip(positional, args, strict=False)), **kwargs}
            if given.get("connection_pool") is None and tuning.applies(given):
                extra = tuning.fill(given, accepted, default_retry)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        original(self, *args, **kwargs, **extra)

    return __init__


def pool_init_shell(original: Method, tuning: Tuning, after: Callable[..., object]) -> Method:
    """Wrap ``ConnectionPool.__init__``, which every pool calls: fill in what is missing.

    Args:
        original: The method.
        tuning: The values to fill in.
        after: ``call(pool, settings, tuned=...)`` once the pool is built.
    """
    parameters = _parameters(original)
    positional = _positional_names(parameters)
    default_class = _default_of(parameters, "connection_class")

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is that method
        extra: dict[str, Any] = {}
        tuned = False
        try:
            given = {**dict(zip(positional, args, strict=False)), **kwargs}
            tuned = tuning.applies(given)
            if tuned:
                keys = connection_pools.accepted_keys(given.get("connection_class", default_class))
                extra = tuning.fill(given, keys | {"max_connections"} if keys else keys, None)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        original(self, *args, **kwargs, **extra)
        try:
            after(self, tuning.settings, tuned=tuned)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")

    return __init__


def cluster_init_shell(
    original: Method, tuning: Tuning, after: Callable[[Any, PoolSettings, Mapping[str, Any], bool], None]
) -> Method:
    """Wrap ``RedisCluster.__init__``, sync or async: fill in what is missing.

    Args:
        original: The method.
        tuning: The values to fill in.
        after: ``call(cluster, settings, given, tuned)`` before the method runs.
    """
    parameters = _parameters(original)
    positional = _positional_names(parameters)
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is that method
        extra: dict[str, Any] = {}
        tuned = False
        given: dict[str, Any] = {}
        try:
            given = {**dict(zip(positional, args, strict=False)), **kwargs}
            tuned = tuning.applies(given)
            if tuned:
                extra = _for_cluster(tuning, given, frozenset(parameters), takes_any=takes_any)
            after(self, tuning.settings, given, tuned)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pool")
        original(self, *args, **kwargs, **extra)

    return __init__


def _for_cluster(
    tuning: Tuning, given: Mapping[str, Any], parameters: frozenset[str], *, takes_any: bool
) -> dict[str, Any]:
    explicit = has_cluster_policy(given)
    if takes_any:
        # The sync cluster passes its keywords to node clients, which redispan tunes. But a node client can't know
        # that the cluster repeats every command that timed out, so the library's read timeout stays here.
        if explicit and "socket_timeout" not in given:
            return {"socket_timeout": connection_pools.library_read_timeout_s(tuning.package)}
        return {}
    extra = tuning.fill({**given, "retry": None}, parameters, None)
    limit = extra.pop("max_connections", None)
    if limit is not None:
        # The async cluster's nodes can't exceed their limit, so callers wait at redispan's limit instead.
        hard = tuning.settings.pool_limit == "hard"
        most = int(limit) if hard else connection_pools.library_limit(tuning.package)
        extra["max_connections"] = TunedNodeLimit(most, int(limit))
    if explicit:
        extra.pop("socket_timeout", None)
    return extra


def has_cluster_policy(given: Mapping[str, Any]) -> bool:
    """Return whether the program set how the cluster repeats commands."""
    return any(given.get(key) is not None for key in _CLUSTER_RETRY_KEYS)
