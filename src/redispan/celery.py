"""Celery's Redis connections, tuned through Celery's own configuration.

kombu gives every pool argument itself, so its pools can't be tuned from below; and its options are documented, so they
need not be. With the instrumentation on, every app that uses Redis is tuned as soon as it is complete. By hand::

    app = Celery("shop", broker="redis://")
    redispan.celery.tune(app, prefetch_multiplier=2)
"""

from __future__ import annotations

from typing import Any


def tune(
    app: Any,
    *,
    prefetch_multiplier: int | None = None,
    max_memory_per_child_kib: int | None = None,
    result_socket_timeout_s: float | None = None,
) -> dict[str, Any]:
    """Fill in what the program left unset; see ``docs/celery.md`` for each value and its reason.

    Args:
        app: The Celery app. Its configuration is loaded by this call.
        prefetch_multiplier: ``worker_prefetch_multiplier``; 2 suits many short tasks, 1 suits long ones.
        max_memory_per_child_kib: ``worker_max_memory_per_child``; 200000 is 200 MB. It is compared with the *peak*
            memory: an app that needs more than this to start gets a new process for each task.
        result_socket_timeout_s: ``redis_socket_timeout``; Celery's own is 120 s.

    Returns:
        What was filled in.
    """
    from redispan._client.pool.celery_options import tune_app

    extra = {
        "worker_prefetch_multiplier": prefetch_multiplier,
        "worker_max_memory_per_child": max_memory_per_child_kib,
        "redis_socket_timeout": result_socket_timeout_s,
    }
    return tune_app(app, {key: value for key, value in extra.items() if value is not None})
