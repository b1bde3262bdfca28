"""Instrumenting one client: its own method, and those of the pipelines and subscriptions it makes."""

from __future__ import annotations

import inspect
import types
import weakref
from collections.abc import Callable
from typing import Any

from redispan._client import calls, endpoints
from redispan._client.patches import GROUND
from redispan._client.recorder import Recorder

_MARK = "_redispan_patched"


class ClientPatches:
    """The clients that were instrumented one by one. Holds them weakly."""

    def __init__(self) -> None:
        # For each client the end of its need for the connections' patches, which comes with its own end at the latest.
        self._clients: weakref.WeakKeyDictionary[Any, weakref.finalize[..., Any]] = weakref.WeakKeyDictionary()

    def instrument(self, client: Any, recorder: Recorder) -> None:
        """Instrument ``client``; a second time replaces the first."""
        self.uninstrument(client)
        asynchronous = inspect.iscoroutinefunction(type(client).execute_command)
        finder = endpoints.of_cluster if hasattr(client, "nodes_manager") else endpoints.of_client
        shell = calls.async_call_shell if asynchronous else calls.call_shell
        command = calls.of_command(recorder, finder)
        _bind(client, "execute_command", lambda original: shell(original, recorder, command))
        for maker in ("pipeline", "pubsub"):
            if hasattr(client, maker):
                _bind(client, maker, lambda original: _maker_shell(original, recorder, finder, asynchronous))
        GROUND.acquire()
        self._clients[client] = weakref.finalize(client, GROUND.release)

    def uninstrument(self, client: Any) -> None:
        """Take it off again."""
        for name in ("execute_command", "pipeline", "pubsub"):
            found = vars(client).get(name) if hasattr(client, "__dict__") else None
            if found is not None and getattr(found, _MARK, False):
                delattr(client, name)
        try:
            release = self._clients.pop(client, None)
        except TypeError:
            return  # unhashable, or without weak references: never instrumented
        if release is not None:
            release()

    def __contains__(self, client: Any) -> bool:
        return client in self._clients


def _bind(owner: Any, name: str, build: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    shell = build(getattr(type(owner), name))
    setattr(shell, _MARK, True)
    setattr(owner, name, types.MethodType(shell, owner))


def _maker_shell(
    original: Callable[..., Any], recorder: Recorder, finder: Any, asynchronous: bool
) -> Callable[..., Any]:
    shell = calls.async_call_shell if asynchronous else calls.call_shell
    command, batch = calls.of_command(recorder, finder), calls.of_batch(recorder, finder)

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
            # A slotted pipeline can't be instrumented alone; it works as ever.
            return made
        return made

    return make
