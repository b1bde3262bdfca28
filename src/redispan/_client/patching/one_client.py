"""Instrumentation of single clients: their own methods, and those of the pipelines and PubSub objects they make."""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable
from typing import Any

from redispan._client.patching.patches import SHARED_PATCHES
from redispan._client.recording import client_shells, endpoints
from redispan._client.recording.recorder import Recorder

_MARK = "_redispan_covers"
"""The attribute of a shell that holds what the object itself had under that name, or ``_NOTHING``."""

_NOTHING = object()


class _Instrumented:
    """The state of one client while it is instrumented."""

    __slots__ = ("recorders", "release")

    def __init__(self, client: Any) -> None:
        # Pipelines made under an earlier recorder go on using it, so every recorder still in use is kept here.
        self.recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()
        # When the client is garbage-collected, it stops using the shared patches.
        self.release = weakref.finalize(client, SHARED_PATCHES.release)


class ClientPatches:
    """The clients that were instrumented one by one, held by weak references."""

    def __init__(self) -> None:
        self._clients: weakref.WeakKeyDictionary[Any, _Instrumented] = weakref.WeakKeyDictionary()

    def instrument(self, client: Any, recorder: Recorder) -> None:
        """Instrument ``client``. Instrumenting it again replaces the first instrumentation."""
        _take_off(client)
        state = self._clients.get(client)
        if state is None:
            SHARED_PATCHES.acquire()
            state = self._clients[client] = _Instrumented(client)
        state.recorders.add(recorder)
        asynchronous = inspect.iscoroutinefunction(type(client).execute_command)
        finder = endpoints.of_cluster if hasattr(client, "nodes_manager") else endpoints.of_client
        shell = client_shells.async_call_shell if asynchronous else client_shells.call_shell
        command = client_shells.of_command(recorder, finder)
        _bind(client, "execute_command", lambda original: shell(original, recorder, command))
        for maker in ("pipeline", "pubsub"):
            if hasattr(client, maker):
                _bind(client, maker, lambda original: _maker_shell(original, recorder, finder, asynchronous))

    def uninstrument(self, client: Any) -> None:
        """Remove the shells from ``client`` and retire its recorders.

        Pipelines and PubSub objects that the client has made, and shells that another tool has wrapped, then record
        nothing any more.
        """
        _take_off(client)
        try:
            state = self._clients.pop(client, None)
        except TypeError:
            return  # an unhashable client, or one without weak references, was never instrumented
        if state is not None:
            for recorder in list(state.recorders):
                recorder.retire()
            state.release()

    def __contains__(self, client: Any) -> bool:
        return client in self._clients


def _bind(owner: Any, name: str, build: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    own = vars(owner).get(name, _NOTHING)
    shell = build(_of_the_class(type(owner), name) if own is _NOTHING else _of_the_object(own))
    setattr(shell, _MARK, own)
    setattr(owner, name, types.MethodType(shell, owner))


def _of_the_class(kind: type, name: str) -> Callable[..., Any]:
    """Return a function that looks up the class's method at each call.

    The class's method can change after the client is instrumented, when all clients are instrumented or uninstrumented.
    """

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(kind, name)(self, *args, **kwargs)

    return functools.wraps(getattr(kind, name))(call)


def _of_the_object(own: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls ``own`` without the object.

    ``own`` is a callable that the program stored on the object itself, so Python does not bind it.
    """

    def call(_self: Any, *args: Any, **kwargs: Any) -> Any:
        return own(*args, **kwargs)

    return call


def _take_off(client: Any) -> None:
    for name in ("execute_command", "pipeline", "pubsub"):
        found = vars(client).get(name) if hasattr(client, "__dict__") else None
        own = getattr(found, _MARK, None)
        if own is _NOTHING:
            delattr(client, name)
        elif own is not None:
            setattr(client, name, own)


def _maker_shell(
    original: Callable[..., Any], recorder: Recorder, finder: Any, asynchronous: bool
) -> Callable[..., Any]:
    shell = client_shells.async_call_shell if asynchronous else client_shells.call_shell
    command, batch = client_shells.of_command(recorder, finder), client_shells.of_batch(recorder, finder)

    def make(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, *args, **kwargs)
        try:
            if hasattr(made, "handle_message"):
                _bind(made, "execute_command", lambda inner: shell(inner, recorder, command))
            else:
                if hasattr(type(made), "immediate_execute_command"):
                    _bind(made, "immediate_execute_command", lambda inner: shell(inner, recorder, command))
                _bind(made, "execute", lambda inner: shell(inner, recorder, batch))
        except Exception:
            # A pipeline class with __slots__ accepts no shell. The pipeline works, but is not recorded.
            return made
        return made

    return make
