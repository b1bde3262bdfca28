"""Living beside opentelemetry-instrumentation-redis, which is normally installed too: one span per command.

While redispan is active, contrib's instrumentor is un-instrumented and believes to be instrumented already, so that a
later ``RedisInstrumentor().instrument()`` changes nothing, and its per-client call does nothing.
"""

from __future__ import annotations

import logging
from typing import Any

_log = logging.getLogger("redispan")

_replaced: dict[str, Any] = {}


def base_class() -> type:
    """Contrib's instrumentor where it can be imported (then ours is a drop-in for it), else the general base."""
    contrib = _contrib()
    if contrib is not None:
        return contrib
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

    return BaseInstrumentor


def _contrib() -> Any | None:
    try:
        from opentelemetry.instrumentation.redis import RedisInstrumentor
    except Exception:
        # Missing, too old, or broken by a redis-py it doesn't know: all the same to us.
        return None
    return RedisInstrumentor


def take_over() -> None:
    """Un-instrument contrib's instrumentor and keep it from instrumenting again."""
    contrib = _contrib()
    if contrib is None:
        return
    try:
        instance = contrib()
        if not _replaced:
            if instance._is_instrumented_by_opentelemetry:
                instance.uninstrument()
            _replaced["instrument_client"] = contrib.__dict__["instrument_client"]
            contrib.instrument_client = staticmethod(_leave_client_alone)
        elif _wraps_redis():
            # It was instrumented by force meanwhile.
            instance.uninstrument()
        instance._is_instrumented_by_opentelemetry = True
    except Exception as fault:
        _log.warning("redispan: opentelemetry-instrumentation-redis could not be replaced: %s", type(fault).__name__)


def _wraps_redis() -> bool:
    try:
        from redispan._client.seam import load

        module = load("redis", "client")
        return hasattr(module.Redis.execute_command, "__wrapped__") and type(
            vars(module.Redis)["execute_command"]
        ).__name__.endswith("FunctionWrapper")
    except Exception:
        return False


def _leave_client_alone(client: Any, *args: Any, **kwargs: Any) -> None:
    _log.debug("redispan: RedisInstrumentor.instrument_client() ignored: redispan instruments the client already")


def give_back() -> None:
    """Let contrib's instrumentor be what it was before; it isn't instrumented again by us."""
    contrib = _contrib()
    if contrib is None or not _replaced:
        return
    try:
        contrib.instrument_client = _replaced.pop("instrument_client")
        contrib()._is_instrumented_by_opentelemetry = False
    finally:
        _replaced.clear()
