"""The ASGI app around ``respond``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redispan.monitoring.respond import Response, Sources, respond

Message = dict[str, Any]


class AsgiApp:
    """An ASGI app that can be mounted anywhere."""

    def __init__(self, sources: Sources, token: str = "") -> None:
        """Create the app.

        Args:
            sources: Returns the reports.
            token: The bearer token that requests for reports must carry; empty for none.
        """
        self._sources = sources
        self._token = token

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request, or the lifespan events of the server."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        answer = await self._answer(scope)
        headers = [*answer.headers.items(), ("Content-Length", str(len(answer.body)))]
        await send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            }
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: dict[str, Any]) -> Response:
        path = str(scope.get("path", ""))
        root = str(scope.get("root_path", "")).rstrip("/")
        # Frameworks differ in whether the path includes the mount path.
        if root and path.startswith(root):
            path = path[len(root) :]
        authorization = next((value for name, value in scope.get("headers", ()) if name == b"authorization"), b"")

        def answer() -> Response:
            return respond(
                scope.get("method", "GET"),
                path or "/",
                scope.get("query_string", b"").decode("latin-1"),
                self._sources,
                token=self._token,
                authorization=authorization.decode("latin-1"),
            )

        try:
            asyncio.get_running_loop()
        except RuntimeError:  # the event loop is not asyncio's, so asyncio.to_thread is not available
            return answer()
        # A thread, because siblings may take 200 ms to answer, which must not block the event loop.
        return await asyncio.to_thread(answer)


async def _live(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """Confirm the lifespan events. There is nothing to set up or tear down."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
