"""The shells around the client's methods: plain functions, sync and async, that differ by ``await`` alone.

A shell asks the recorder to begin, runs the original, and tells the recorder the outcome. It returns the identical
result and lets the identical exception through, cancellation included.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from redispan._client import seam
from redispan._client.recorder import EndpointFinder, Recorder
from redispan._core.ledger import LEDGER

Method = Callable[..., Any]


def command_shell(original: Method, recorder: Recorder, find_endpoint: EndpointFinder) -> Method:
    """A sync method that sends the one command given as its arguments."""
    begin, end = recorder.begin, recorder.end

    @functools.wraps(original)
    def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        operation = begin(find_endpoint, self, args)
        if operation is None:
            return original(self, *args, **options)
        try:
            response = original(self, *args, **options)
        except BaseException as error:
            end(operation, None, error)
            raise
        end(operation, response, None)
        return response

    return execute_command


def async_command_shell(original: Method, recorder: Recorder, find_endpoint: EndpointFinder) -> Method:
    """An async method that sends the one command given as its arguments."""
    begin, end = recorder.begin, recorder.end

    @functools.wraps(original)
    async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        operation = begin(find_endpoint, self, args)
        if operation is None:
            return await original(self, *args, **options)
        try:
            response = await original(self, *args, **options)
        except BaseException as error:
            end(operation, None, error)
            raise
        end(operation, response, None)
        return response

    return execute_command


def batch_shell(original: Method, recorder: Recorder, find_endpoint: EndpointFinder) -> Method:
    """Sync ``Pipeline.execute``."""
    end = recorder.end

    @functools.wraps(original)
    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        operation = _begin_batch(recorder, find_endpoint, self)
        if operation is None:
            return original(self, *args, **kwargs)
        try:
            response = original(self, *args, **kwargs)
        except BaseException as error:
            end(operation, None, error)
            raise
        end(operation, response, None)
        return response

    return execute


def async_batch_shell(original: Method, recorder: Recorder, find_endpoint: EndpointFinder) -> Method:
    """Async ``Pipeline.execute``."""
    end = recorder.end

    @functools.wraps(original)
    async def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        operation = _begin_batch(recorder, find_endpoint, self)
        if operation is None:
            return await original(self, *args, **kwargs)
        try:
            response = await original(self, *args, **kwargs)
        except BaseException as error:
            end(operation, None, error)
            raise
        end(operation, response, None)
        return response

    return execute


def _begin_batch(recorder: Recorder, find_endpoint: EndpointFinder, pipeline: Any) -> Any:
    try:
        kind = "MULTI" if seam.is_transaction(pipeline) else "PIPELINE"
        commands = seam.queued_commands(pipeline)
    except Exception:
        LEDGER.telemetry_error("pipeline")
        return None
    return recorder.begin_batch(find_endpoint, pipeline, kind, commands)


def script_shell(original: Method, recorder: Recorder, find_endpoint: EndpointFinder) -> Method:
    """Sync ``Script.__call__``: EVALSHA, and the SCRIPT LOAD that heals a NOSCRIPT, are one operation."""
    end = recorder.end

    @functools.wraps(original)
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - it is that method
        operation = _begin_script(recorder, find_endpoint, self, args, kwargs)
        if operation is None:
            return original(self, *args, **kwargs)
        try:
            response = original(self, *args, **kwargs)
        except BaseException as error:
            end(operation, None, error)
            raise
        end(operation, response, None)
        return response

    return __call__


def async_script_shell(original: Method, recorder: Recorder, find_endpoint: EndpointFinder) -> Method:
    """Async ``AsyncScript.__call__``, likewise."""
    end = recorder.end

    @functools.wraps(original)
    async def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - it is that method
        operation = _begin_script(recorder, find_endpoint, self, args, kwargs)
        if operation is None:
            return await original(self, *args, **kwargs)
        try:
            response = await original(self, *args, **kwargs)
        except BaseException as error:
            end(operation, None, error)
            raise
        end(operation, response, None)
        return response

    return __call__


def _begin_script(
    recorder: Recorder, find_endpoint: EndpointFinder, script: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    try:
        client = kwargs.get("client") or (args[2] if len(args) > 2 else None) or script.registered_client
        if seam.is_pipeline(client):
            return None  # a pipeline: the script is queued, not run
        keys = kwargs.get("keys", args[0] if args else ()) or ()
        values = kwargs.get("args", args[1] if len(args) > 1 else ()) or ()
        # Only what can be read twice is read: a generator of arguments must reach the script untouched.
        rest = values if isinstance(values, (list, tuple)) else ()
        sent = ("EVALSHA", script.sha, len(keys), *keys, *rest)
        finder = find_endpoint if not hasattr(client, "nodes_manager") else _cluster_finder()
        return recorder.begin(finder, client, sent)
    except Exception:
        LEDGER.telemetry_error("script")
        return None


def _cluster_finder() -> EndpointFinder:
    from redispan._client import endpoints

    return endpoints.of_cluster


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
            LEDGER.add("messages", word)
    except Exception:
        LEDGER.telemetry_error("message")
