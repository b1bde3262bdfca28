"""The take-over from opentelemetry-instrumentation-redis (contrib), so that each command gets one span.

Contrib is normally installed too. While redispan is active, contrib's instrumentor is un-instrumented, and its flag
says that it is instrumented already. A later ``RedisInstrumentor().instrument()`` does nothing, and neither does its
per-client call. redispan removes contrib's wrappers from the clients that were instrumented one by one. Any other
wrappers of contrib let calls pass, as they do inside ``suppress_instrumentation()``.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from redispan._client.internals import clients

_log = logging.getLogger("redispan")

_MISSING = object()

_CLIENTS = (("", "Redis"), ("cluster", "RedisCluster"), ("asyncio", "Redis"), ("asyncio.cluster", "RedisCluster"))

_mro_of = type.__dict__["__mro__"].__get__

_replaced: list[tuple[Any, str, Any]] = []
"""What redispan replaced: the owner, the attribute, and the owner's own value of it or ``_MISSING``."""


def base_class() -> type:
    """Return the base class of redispan's instrumentor.

    That is contrib's instrumentor where it can be imported, so that redispan's is a drop-in replacement for it.
    Otherwise it is OpenTelemetry's ``BaseInstrumentor``.
    """
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

    contrib = _contrib()
    return contrib if isinstance(contrib, type) and issubclass(contrib, BaseInstrumentor) else BaseInstrumentor


def _module() -> ModuleType | None:
    try:
        import opentelemetry.instrumentation.redis as module
    except Exception:
        # Contrib is missing, too old, or broken by a redis-py that it doesn't know. redispan treats all three alike.
        return None
    return module


def _contrib() -> Any | None:
    return getattr(_module(), "RedisInstrumentor", None)


def take_over() -> None:
    """Un-instrument contrib's instrumentor and keep it from instrumenting again. Repeated calls are harmless.

    Nothing happens where redispan can't instrument redis-py, because contrib also supports older versions.
    """
    module, contrib = _module(), _contrib()
    if contrib is None or not clients.is_supported("redis"):
        return
    try:
        instance = contrib()
        if not _replaced:
            _put_aside(module, contrib, instance)
    except Exception as fault:
        _log.warning("redispan: opentelemetry-instrumentation-redis could not be replaced: %s", type(fault).__name__)


def _put_aside(module: Any, contrib: Any, instance: Any) -> None:
    if instance.is_instrumented_by_opentelemetry:
        instance.uninstrument()
    # Set on the instance and not on the class, because redispan's instrumentor inherits from the class.
    _replace(instance, "instrument", _leave_to_redispan)
    _replace(instance, "uninstrument", _leave_to_redispan)
    _replace(instance, "_is_instrumented_by_opentelemetry", True)
    for name in ("instrument_client", "uninstrument_client"):
        if name in vars(contrib):
            _replace(contrib, name, staticmethod(_leave_to_redispan))
    if hasattr(module, "is_instrumentation_enabled"):
        _replace(module, "is_instrumentation_enabled", _is_disabled)
    if _has_made_wrappers(module, contrib):
        _free_clients(module.__name__)


def _has_made_wrappers(module: Any, contrib: Any) -> bool:
    """Whether a client may carry a wrapper of contrib's: whether a function that its functions define is alive.

    Such a function refers to its code object. Counting the references to that takes microseconds; searching the heap
    for clients takes 7 ms in a bare program and 123 ms beside two million objects.
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return True  # free-threaded Python keeps no exact counts
    own = [thing for thing in vars(module).values() if getattr(thing, "__module__", None) == module.__name__]
    made_by_contrib = _most_references([*own, *vars(contrib).values()])
    return made_by_contrib > _most_references([_makes_a_function])


def _most_references(things: Iterable[Any]) -> int:
    """Count the references to the inner function of these functions that has the most."""
    codes = [
        inner
        for function in (getattr(thing, "__func__", thing) for thing in things)
        if isinstance(function, FunctionType)
        for inner in function.__code__.co_consts
        if isinstance(inner, CodeType)
    ]
    return max(map(sys.getrefcount, codes), default=0)


def _makes_a_function() -> object:
    """Define a function. Nobody calls this: it shows how many references the code of a function has that isn't made."""
    return lambda: None


def _free_clients(contrib_name: str) -> None:
    """Remove contrib's per-client wrappers, which keep calls from the class and so from redispan's patches.

    There is no list of these clients, so redispan searches the heap, once per take-over.
    """
    everything = gc.get_objects()
    bases = {getattr(clients.load("redis", module), kind, None) for module, kind in _CLIENTS}
    # Only `type` itself is queried: an attribute of a foreign class or object could run the program's code.
    kinds = {kind for kind in set(map(type, everything)) if not bases.isdisjoint(_mro_of(kind))}
    for client in [found for found in everything if type(found) in kinds] if kinds else ():
        own = getattr(client, "__dict__", {})
        for name in ("execute_command", "pipeline"):
            wrapper = getattr(own.get(name), "_self_wrapper", None)
            if getattr(wrapper, "__module__", None) == contrib_name:
                # Not unwrap(), which would put the class's method from before redispan's patches on the client.
                delattr(client, name)
                client._is_instrumented_by_opentelemetry = False


def give_back() -> None:
    """Restore contrib's instrumentor to what it was before. redispan does not instrument it again."""
    while _replaced:
        owner, name, own = _replaced.pop()
        try:
            if own is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
        except Exception as fault:
            _log.debug("redispan: contrib's %s could not be given back: %s", name, type(fault).__name__)


def _replace(owner: Any, name: str, value: Any) -> None:
    _replaced.append((owner, name, vars(owner).get(name, _MISSING)))
    setattr(owner, name, value)


def _leave_to_redispan(*_args: Any, **_kwargs: Any) -> None:
    _log.debug("redispan: a call of contrib's RedisInstrumentor was ignored: redispan instruments Redis already")


def _is_disabled() -> bool:
    return False
