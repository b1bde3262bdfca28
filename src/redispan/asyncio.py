"""The tuned pool for ``redis.asyncio``."""

from __future__ import annotations

from typing import Any


def tuned_pool(url: str, **overrides: Any) -> Any:
    """Build a ``redis.asyncio.ConnectionPool``: the async version of ``redispan.tuned_pool``."""
    from redispan._client.pool.by_hand import tuned_pool as build

    return build(url, overrides, is_async=True)
