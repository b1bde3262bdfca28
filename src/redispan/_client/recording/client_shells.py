"""The shells around the client's methods: plain functions, sync and async, that differ by ``await`` alone.

A shell asks the recorder to begin, runs the original, and tells the recorder the outcome. It returns the identical
result and lets the identical exception through, cancellation included.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from redispan._client.internals import clients
from redispan._client.recording import endpoints
from redispan._client.recording.recorder import Begin, EndpointFinder, Recorder
from redispan._core.operation import Operation
from redispan._core.slot import SLOT

Method = Callable[..., Any]


def call_shell(original: Method, recorder: Recorder, begin: Begin) -> Method:
    """A sync method that makes one operation, as ``begin`` says."""
    end = recorder.end

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        operation = begin(self, args, kwargs)
        if operation is None:
            return original(self, *args, **kwargs)
        try:
            response = original(self, *args, **kwargs)
        except BaseException as error:
            end(operation, None, error)
            raise
        end(operation, response, None)
        return response

    return call


def async_call_shell(original: Method, recorder: Recorder, begin: Begin) -> Method:
    """An async method that makes one operation, as ``begin`` says."""
    end = recorder.end

    @functools.wraps(original)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        operation = begin(self, args, kwargs)
        if operation is None:
            return await original(self, *args, **kwargs)
        try:
            response = await original(self, *args, **kwargs)
        except BaseException as error:
            end(operation, None, error)
            raise
        end(operation, response, None)
        return response

    return call


def async_starting_shell(original: Method, recorder: Recorder, begin: Begin) -> Method:
    """Async ``RedisCluster.execute_command``: finding its nodes, or none, is a part of the first operation."""
    end = recorder.end

    @functools.wraps(original)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        operation = begin(self, args, kwargs)
        try:
            if clients.is_cluster_start_due(self):
                await clients.start_cluster(self)
            response = await original(self, *args, **kwargs)
        except BaseException as error:
            if operation is not None:
                end(operation, None, error)
            raise
        if operation is not None:
            end(operation, response, None)
        return response

    setattr(call, clients.STARTS_CLUSTER, True)
    return call


def of_command(recorder: Recorder, find_endpoint: EndpointFinder) -> Begin:
    """For methods that send the one command given as their arguments."""
    return recorder.command_beginner(find_endpoint)


def of_batch(recorder: Recorder, find_endpoint: EndpointFinder) -> Begin:
    """For ``Pipeline.execute``."""

    def begin(pipeline: Any, _args: Any, _kwargs: Any) -> Operation | None:
        try:
            kind = "MULTI" if clients.is_transaction(pipeline) else "PIPELINE"
            commands = clients.queued_commands(pipeline)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("pipeline")
            return None
        return recorder.begin_batch(find_endpoint, pipeline, kind, commands)

    return begin


def of_script(recorder: Recorder, find_endpoint: EndpointFinder) -> Begin:
    """For ``Script.__call__``: EVALSHA, and the SCRIPT LOAD that heals a NOSCRIPT, are one operation."""

    def begin(script: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation | None:
        try:
            client = kwargs.get("client") or (args[2] if len(args) > 2 else None) or script.registered_client
            if clients.is_pipeline(client):
                return None  # a pipeline: the script is queued, not run
            keys = kwargs.get("keys", args[0] if args else ()) or ()
            values = kwargs.get("args", args[1] if len(args) > 1 else ()) or ()
            # Only what can be read twice is read: a generator of arguments must reach the script untouched.
            rest = values if isinstance(values, (list, tuple)) else ()
            sent = ("EVALSHA", script.sha, len(keys), *keys, *rest)
            finder = find_endpoint if not hasattr(client, "nodes_manager") else endpoints.of_cluster
            return recorder.begin(finder, client, sent)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("script")
            return None

    return begin


def message_shell(original: Method) -> Method:
    """``PubSub.handle_message``, sync or async: count what was received."""

    @functools.wraps(original)
    def handle_message(self: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        _count_message(response)
        return original(self, response, *args, **kwargs)

    return handle_message


def _count_message(response: Any) -> None:
    try:
        kind = response[0]
        word = kind.decode() if isinstance(kind, bytes) else kind
        if word in ("message", "pmessage", "smessage"):
            SLOT.runtime.self_metrics.add("messages", word)
    except Exception:
        SLOT.runtime.self_metrics.telemetry_error("message")
