"""Client shells: the wrappers around the client's methods. The sync and async versions differ only in ``await``.

A shell asks the recorder to begin an operation, runs the original method, and passes its outcome to the recorder. It
returns the same result object and lets the same exception through, cancellation included.
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
    """Wrap a sync method, so that each call is recorded as one operation if ``begin`` returns one."""
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
    """The async version of ``call_shell``."""
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
    """Wrap ``execute_command`` of the async ``RedisCluster``, and start the client if redispan has to.

    The first operation includes the start: its duration covers the search for the nodes, and its error is the error of
    a failed start.
    """
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
    """Return the ``begin`` function for methods whose arguments are one command."""
    return recorder.command_beginner(find_endpoint)


def of_batch(recorder: Recorder, find_endpoint: EndpointFinder) -> Begin:
    """Return the ``begin`` function for ``Pipeline.execute``."""

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
    """Return the ``begin`` function for ``Script.__call__``.

    EVALSHA is one operation together with the SCRIPT LOAD that redis-py sends after a NOSCRIPT error.
    """

    def begin(script: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation | None:
        try:
            client = kwargs.get("client") or (args[2] if len(args) > 2 else None) or script.registered_client
            if clients.is_pipeline(client):
                return None  # a pipeline queues the script and does not run it
            keys = kwargs.get("keys", args[0] if args else ()) or ()
            values = kwargs.get("args", args[1] if len(args) > 1 else ()) or ()
            # Only a list or tuple can be read twice. A generator of arguments must reach the script unread.
            rest = values if isinstance(values, (list, tuple)) else ()
            sent = ("EVALSHA", script.sha, len(keys), *keys, *rest)
            finder = find_endpoint if not hasattr(client, "nodes_manager") else endpoints.of_cluster
            return recorder.begin(finder, client, sent)
        except Exception:
            SLOT.runtime.self_metrics.telemetry_error("script")
            return None

    return begin


def message_shell(original: Method) -> Method:
    """Wrap ``PubSub.handle_message``, sync or async, and count each message received."""

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
