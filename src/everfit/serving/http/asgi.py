"""The service as an ASGI application, for TLS or middleware in the same process; see docs/howto/serve.md.

It handles requests and records predictions as the service's own HTTP server does, at a lower rate
(docs/adr/0009-own-http-connection.md). Time limits and the number of connections are the ASGI server's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from everfit.core.errors import EverfitError, RequestTooLargeError, StoreError
from everfit.serving.http.connection import HttpRequest
from everfit.serving.http.responses import Response, body_too_large, error_info, error_response

if TYPE_CHECKING:
    from everfit.serving.worker import Worker

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiApp:
    """ASGI 3 application of one worker; one process runs one of them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._worker.load()
        except EverfitError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        async with self._worker.background():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await _read_body(receive, self._worker.settings.max_body_bytes)
        except RequestTooLargeError as error:
            await _send(send, error_response(error_info(error)), scope["method"])
            return
        if body is None:
            return
        response = self._worker.app.handle(_request(scope, body))
        if not isinstance(response, Response):
            response = await response
        # It is sent once the records of its predictions are written.
        try:
            self._worker.prediction_logger.flush()
            if response.on_write_error is not None:
                await self._worker.prediction_logger.on_disk()
        except StoreError as error:
            response = response if response.on_write_error is None else response.on_write_error(error)
        await _send(send, response, scope["method"])


def _request(scope: Message, body: bytes) -> HttpRequest:
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    codings = [value.strip().lower() for name, value in headers if name == b"content-encoding"]
    return HttpRequest(
        scope["method"],
        path.partition(b"?")[0].decode("latin-1").removeprefix(scope.get("root_path", "")),
        scope["query_string"],
        headers,
        body,
        b", ".join(coding for coding in codings if coding not in {b"", b"identity"}),
    )


async def _read_body(receive: Receive, max_bytes: int) -> bytes | None:
    """Return a request's body; ``None`` if the client closed the connection."""
    parts, size = [], 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise body_too_large(max_bytes, size)
        if not event.get("more_body", False):
            return b"".join(parts)


async def _send(send: Send, response: Response, method: str) -> None:
    status, body, content_type, more, _ = response
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
