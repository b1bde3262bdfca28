"""Tuning of Celery's Redis connections through Celery's own configuration.

kombu passes every pool argument itself, so redispan can't tune its pools from below. kombu's options are documented, so
redispan sets those instead. With the instrumentation on, redispan tunes every app that uses Redis as soon as the app is
complete. To tune an app without the instrumentation::

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
    """Fill in the options that the program left unset; see ``docs/celery.md`` for each value and its reason.

    Args:
        app: The Celery app. This call loads its configuration.
        prefetch_multiplier: ``worker_prefetch_multiplier``; 2 suits many short tasks, 1 suits long ones.
        max_memory_per_child_kib: ``worker_max_memory_per_child``; 200000 is 200 MB. Celery compares it with the
            *peak* memory: an app that needs more than this to start gets a new process for each task.
        result_socket_timeout_s: ``redis_socket_timeout``; Celery's default is 120 s.

    Returns:
        The options that were filled in, by name.
    """
    from redispan._client.pool.celery_options import tune_app

    extra = {
        "worker_prefetch_multiplier": prefetch_multiplier,
        "worker_max_memory_per_child": max_memory_per_child_kib,
        "redis_socket_timeout": result_socket_timeout_s,
    }
    return tune_app(app, {key: value for key, value in extra.items() if value is not None})
