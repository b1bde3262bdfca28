"""The tuned pool for programs that build it themselves, and the state of the pools of this process.

Example::

    pool = redispan.tuned_pool("redis://cache:6379/0", max_connections=20)
    client = redis.Redis(connection_pool=pool)
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from redispan._core.slot import SLOT


def tuned_pool(url: str, **overrides: Any) -> Any:
    """Build a ``redis.ConnectionPool`` that is configured for production.

    It works with and without the instrumentation. Values in the URL and in ``overrides`` win.

    Args:
        url: The URL, as for ``redis.ConnectionPool.from_url``.
        **overrides: Keyword arguments of redis-py's pool and connection (``max_connections=20``), and pool settings of
            redispan by their names (``pool_wait_s=1.5``).

    Returns:
        A plain ``redis.ConnectionPool``.

    Raises:
        ImportError: redis-py is not installed.
    """
    from redispan._client.pool.by_hand import tuned_pool as build

    return build(url, overrides, is_async=False)


def untouched() -> AbstractContextManager[None]:
    """Leave the clients and pools that are built inside the block exactly as the program builds them.

    Returns:
        A context manager.
    """
    from redispan._client.pool.tuning import untouched as leave_alone

    return leave_alone()


def pools_in_effect() -> list[dict[str, Any]]:
    """Return every pool of this process that is in use.

    Returns:
        For each pool its figures, its limit and the values that its connections get: the fields of ``PoolStats``, and
        ``reused``.
    """
    return [{**asdict(stats), "reused": stats.reused} for stats in SLOT.runtime.pool_sources.read()]
