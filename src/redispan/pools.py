"""The tuned pool by hand, and what is known of the pools of this process.

pool = redispan.tuned_pool("redis://cache:6379/0", max_connections=20)
client = redis.Redis(connection_pool=pool)
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from redispan._core.slot import SLOT


def tuned_pool(url: str, **overrides: Any) -> Any:
    """Build a ``redis.ConnectionPool`` the way a production team would have configured it.

    Works with and without the instrumentation. What the URL or ``overrides`` say wins.

    Args:
        url: As for ``redis.ConnectionPool.from_url``.
        **overrides: Keyword arguments of redis-py's pool and connection (``max_connections=20``), and pool settings of
            redispan by their names (``pool_wait_s=1.5``).

    Returns:
        A plain ``redis.ConnectionPool``.
    """
    from redispan._client.pool.by_hand import tuned_pool as build

    return build(url, overrides, is_async=False)


def untouched() -> AbstractContextManager[None]:
    """Leave the clients and pools that are built inside exactly as the program builds them."""
    from redispan._client.pool.tuning import untouched as leave_alone

    return leave_alone()


def pools_in_effect() -> list[dict[str, Any]]:
    """Every pool of this process that is in use: its figures, its limit and the values its connections get."""
    return [{**asdict(stats), "reused": stats.reused} for stats in SLOT.runtime.pool_sources.read()]
