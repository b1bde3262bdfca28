"""``redispan.tuned_pool``: the pool layer without the instrumentation, for the pools that it builds and no others."""

from __future__ import annotations

import dataclasses
from typing import Any

from redispan._client.internals import clients
from redispan._client.pool import retrying, tuning
from redispan._client.pool.patches import POOL_PATCHES
from redispan.settings import Settings
from redispan.settings.pool import PoolSettings

_SETTINGS = frozenset(field.name for field in dataclasses.fields(PoolSettings))
_RETRIES = 3


def tuned_pool(url: str, overrides: dict[str, Any], *, is_async: bool, package: str = "redis") -> Any:
    """Build a tuned pool; see ``redispan.tuned_pool``."""
    module: Any = clients.load(package, "asyncio.connection" if is_async else "connection")
    if module is None:
        message = f"redispan.tuned_pool needs {package}-py"
        raise ImportError(message)
    ours = {name: value for name, value in overrides.items() if name in _SETTINGS}
    theirs = {name: value for name, value in overrides.items() if name not in _SETTINGS}
    settings = dataclasses.replace(_base(), **{**ours, "pool": "tuned"})
    POOL_PATCHES.serve_by_hand()
    if settings.pool_retry and not any(key in theirs for key in ("retry", "retry_on_error", "retry_on_timeout")):
        theirs["retry"] = retrying.tuned_retry(package, _library_retry(package, is_async), settings, is_async=is_async)
    with tuning.by_hand(settings):
        return module.ConnectionPool.from_url(url, **theirs)


def _base() -> PoolSettings:
    in_force = POOL_PATCHES.settings
    if in_force is not None and not POOL_PATCHES.only_by_hand:
        return in_force
    return Settings.from_environment()[0]


def _library_retry(package: str, is_async: bool) -> Any:
    module: Any = clients.load(package, "asyncio.retry" if is_async else "retry")
    backoff: Any = clients.load(package, "backoff")
    return module.Retry(backoff.NoBackoff(), _RETRIES)
