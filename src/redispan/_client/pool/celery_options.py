"""The Celery settings that redispan fills in where the program left them unset.

They are those of the broker's transport, the result backend, and workers with a Redis broker.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from redispan._client.patching.patch import Patch
from redispan._client.pool.values import TunedReadSeconds, keepalive_options
from redispan._core.slot import SLOT
from redispan.settings import Settings
from redispan.settings.pool import PoolSettings

_log = logging.getLogger("redispan")

_REDIS_SCHEMES = ("redis", "rediss", "sentinel", "valkey", "valkeys")
_watching = False
_patched: Patch | None = None
_APP_MODULE = "celery.app.base"


def transport_options(settings: PoolSettings) -> dict[str, Any]:
    """Return the options of the broker's transport.

    ``retry`` is never among them, because with it kombu stops publishing in batches.
    """
    wanted: dict[str, Any] = {
        "max_connections": settings.pool_max_connections,
        "socket_connect_timeout": settings.pool_connect_timeout_s,
        # Celery repeats a publish that timed out.
        "socket_timeout": TunedReadSeconds(settings.pool_socket_timeout_s),
        "health_check_interval": settings.pool_health_check_s,
    }
    if settings.pool_keepalive:
        wanted.update(socket_keepalive=True, socket_keepalive_options=keepalive_options(settings))
    return {key: value for key, value in wanted.items() if value}


def backend_options(settings: PoolSettings) -> dict[str, Any]:
    """Return the settings of the result backend.

    The read timeout is not among them and stays Celery's, because a chord that times out is lost.
    """
    wanted: dict[str, Any] = {
        "redis_max_connections": settings.pool_max_connections,
        "redis_socket_connect_timeout": settings.pool_connect_timeout_s,
        "redis_socket_keepalive": settings.pool_keepalive,
        "redis_backend_health_check_interval": settings.pool_health_check_s,
    }
    return {key: value for key, value in wanted.items() if value}


def worker_options(conf: Any, settings: PoolSettings) -> dict[str, Any]:
    """Return the settings of a worker with a Redis broker. By default there are none: see docs/celery.md."""
    if not _is_redis(conf.broker_url):
        return {}
    wanted = {
        "worker_prefetch_multiplier": settings.celery_prefetch_multiplier,
        "worker_max_memory_per_child": settings.celery_max_memory_per_child_kib,
    }
    return {key: value for key, value in wanted.items() if value}


def tune_app(app: Any, extra: Mapping[str, Any] | None = None, settings: PoolSettings | None = None) -> dict[str, Any]:
    """Fill in the settings that ``app`` left unset.

    Args:
        app: The Celery app.
        extra: Further settings to fill in.
        settings: The settings to use; None for those of the instrumentation, or else of the environment.

    Returns:
        The settings that redispan filled in.
    """
    settings = settings or _in_force() or Settings.from_environment()[0]
    return fill_in(app.conf, {**worker_options(app.conf, settings), **(extra or {})}, settings)


def fill_in(conf: Any, extra: Mapping[str, Any], settings: PoolSettings) -> dict[str, Any]:
    """Fill in the settings that a loaded configuration leaves unset, and return those, with ``extra`` among them."""
    given = conf.table(with_defaults=False)
    filled: dict[str, Any] = {}
    if _is_redis(conf.broker_url) or _is_redis(getattr(conf, "broker_write_url", None)):
        own = dict(conf.broker_transport_options or {})
        missing = {key: value for key, value in transport_options(settings).items() if key not in own}
        if missing:
            filled["broker_transport_options"] = {**missing, **own}
    if _is_redis(conf.result_backend):
        filled.update(
            {key: value for key, value in backend_options(settings).items() if not _is_given(given, key, conf)}
        )
    filled.update({key: value for key, value in extra.items() if not _is_given(given, key, conf)})
    for key, value in filled.items():
        conf[key] = value
    return filled


def _is_redis(url: Any) -> bool:
    first = url[0] if isinstance(url, (list, tuple)) and url else url
    return isinstance(first, str) and first.partition("://")[0].partition("+")[0] in _REDIS_SCHEMES


def _is_given(given: Mapping[str, Any], key: str, conf: Any) -> bool:
    # Celery's old upper-case names are names of the same settings.
    old_names = {name.lower().removeprefix("celery_").removeprefix("celeryd_") for name in given}
    return key in given or key in old_names or getattr(conf, key, None) != _default(conf, key)


def _default(conf: Any, key: str) -> Any:
    for source in reversed(getattr(conf, "maps", ())):
        if key in source:
            return source[key]
    return None


def _in_force() -> PoolSettings | None:
    settings = SLOT.runtime.pool_settings
    return settings if settings is not None and settings.pool == "tuned" else None


def watch() -> None:
    """Tune every app when it loads its configuration; this does not import Celery."""
    global _watching
    loaded = sys.modules.get(_APP_MODULE)
    if loaded is not None:  # also if the import hook ran while redispan did not watch
        _patch(loaded)
        return
    if _watching:
        return
    try:
        import wrapt
    except ImportError:
        return
    wrapt.register_post_import_hook(_patch, _APP_MODULE)
    _watching = True  # the hook stays; it looks at the settings in force


def stop() -> None:
    """Stop tuning apps; those already tuned keep their settings."""
    global _patched
    if _patched is not None:
        _patched.undo()
        _patched = None


def _patch(module: Any) -> None:
    global _patched
    try:
        if _in_force() is not None and _patched is None:
            # The one moment when everything that the program says is known and nothing has connected yet.
            _patched = Patch(module.Celery, "_load_config", _load_shell)
    except Exception as fault:
        _log.debug("redispan: Celery apps are not tuned: %s", type(fault).__name__)


def _load_shell(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _load_config(self: Any, *args: Any, **kwargs: Any) -> Any:
        conf = original(self, *args, **kwargs)
        try:
            settings = _in_force()
            if settings is not None:
                fill_in(conf, worker_options(conf, settings), settings)
        except Exception as fault:
            _log.warning("redispan: a Celery app is left as it is: %s", type(fault).__name__)
        return conf

    return _load_config
