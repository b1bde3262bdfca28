"""Living beside opentelemetry-instrumentation-redis, which is normally installed too: one span per command.

While redispan is active, contrib's instrumentor is un-instrumented and believes to be instrumented already: a later
``RedisInstrumentor().instrument()`` and its per-client call do nothing. Clients that it had instrumented one by one are
freed of that, and what else there may be of contrib's wrappers lets calls pass, as inside
``suppress_instrumentation()``.
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
"""What was put aside: the owner, the attribute, and what the owner itself had there."""


def base_class() -> type:
    """Contrib's instrumentor where it can be imported (then ours is a drop-in for it), else the general base."""
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

    contrib = _contrib()
    return contrib if isinstance(contrib, type) and issubclass(contrib, BaseInstrumentor) else BaseInstrumentor


def _module() -> ModuleType | None:
    try:
        import opentelemetry.instrumentation.redis as module
    except Exception:
        # Missing, too old, or broken by a redis-py it doesn't know: all the same to us.
        return None
    return module


def _contrib() -> Any | None:
    return getattr(_module(), "RedisInstrumentor", None)


def take_over() -> None:
    """Un-instrument contrib's instrumentor and keep it from instrumenting again; may be called any number of times.

    Nothing happens where redispan can't instrument redis-py: contrib also knows older ones.
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
    # On the instance, not the class: ours inherits from the class.
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
    """Take contrib's per-client wrappers off: they would keep calls from the class, and so from our patches.

    Nobody keeps a list of these clients, so the heap is searched, once per take-over.
    """
    everything = gc.get_objects()
    bases = {getattr(clients.load("redis", module), kind, None) for module, kind in _CLIENTS}
    # Only what `type` itself knows: a question to a foreign class or object could run the program's code.
    kinds = {kind for kind in set(map(type, everything)) if not bases.isdisjoint(_mro_of(kind))}
    for client in [found for found in everything if type(found) in kinds] if kinds else ():
        own = getattr(client, "__dict__", {})
        for name in ("execute_command", "pipeline"):
            wrapper = getattr(own.get(name), "_self_wrapper", None)
            if getattr(wrapper, "__module__", None) == contrib_name:
                # Not unwrap(): it would leave the method that the class had before us on the client.
                delattr(client, name)
                client._is_instrumented_by_opentelemetry = False


def give_back() -> None:
    """Let contrib's instrumentor be what it was before; it isn't instrumented again by us."""
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
