"""The HTTP face of the data plane: bare ASGI, since a framework costs more than the prediction.

| request | answer |
| --- | --- |
| ``POST /predict/{model}`` | predictions, ids, version |
| ``GET /models/{model}`` | what it takes, with an example |
| ``GET /`` | what is served |
| ``GET /health/live``, ``GET /health/ready`` | 200 |
| ``GET /metrics`` | Prometheus |

Errors are ``{"error": {"message", "field", "value", "expected"}}`` with status 404, 405, 408, 413, 422 or 500.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from everfit.core.errors import (
    EverfitError,
    InvalidRequestError,
    NotReadyError,
    RequestTooLargeError,
    UnknownModelError,
)
from everfit.core.settings import ServingSettings
from everfit.serving.metrics import CONTENT_TYPE, ServiceMetrics
from everfit.serving.plane import Plane

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_TIMEOUT_S = 30.0
_JSON = b"application/json"
_STATUS: Mapping[type[EverfitError], int] = {
    InvalidRequestError: 422,
    UnknownModelError: 404,
    RequestTooLargeError: 413,
    NotReadyError: 503,
}
_log = logging.getLogger("everfit.serving")


class App:
    """The ASGI application.

    Args:
        plane: What answers.
        settings: Limits.
        metrics: What is counted.
    """

    def __init__(self, plane: Plane, settings: ServingSettings, metrics: ServiceMetrics) -> None:
        self._plane = plane
        self._settings = settings
        self._metrics = metrics
        self._encode = msgspec.json.Encoder().encode
        # Looking labels up costs more than counting.
        self._ok = {name: metrics.requests.labels(name, "200") for name in plane.models}
        self._rows = {name: metrics.rows.labels(name) for name in plane.models}
        self._seconds = {name: metrics.seconds.labels(name) for name in plane.models}
        for name, served in plane.models.items():
            metrics.version.labels(name, served.digest[7:19], served.form).set(served.version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path.startswith("/predict/"):
            await self._predict(path.removeprefix("/predict/"), scope, receive, send)
            return
        pages: dict[str, Callable[[], tuple[bytes, bytes]]] = {
            "/": self._index,
            "/health/live": lambda: (b'{"live":true}', _JSON),
            "/health/ready": lambda: (b'{"ready":true}', _JSON),
            "/metrics": lambda: (self._metrics.page(), CONTENT_TYPE.encode()),
        }
        page = pages.get(path)
        if path.startswith("/models/"):
            name = path.removeprefix("/models/")
            if name in self._plane.models:
                page = lambda: (self._encode(self._describe(name)), _JSON)  # noqa: E731 - as the pages above
        if page is None:
            await self._refuse(send, 404, {"message": f"There is no {path} here. See GET /."})
        elif scope["method"] not in {"GET", "HEAD"}:
            await self._refuse(send, 405, {"message": f"{path} takes GET only."}, (b"allow", b"GET"))
        else:
            body, kind = page()
            await _respond(send, 200, body, kind)

    async def _predict(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self._refuse(send, 405, {"message": f"/predict/{name} takes POST only."}, (b"allow", b"POST"))
            return
        try:
            served = self._plane.model(name)
            body = await self._body(scope, receive)
            if body is None:
                return  # the caller has gone
            began = time.perf_counter()
            answer = served.answer(body)
            content = self._encode(answer)
        except EverfitError as error:
            await self._fail(name, error, send)
            return
        except TimeoutError:
            self._count(name, 408)
            await self._refuse(send, 408, {"message": f"The body must arrive within {BODY_TIMEOUT_S:.0f} s."})
            return
        except Exception:  # noqa: BLE001 - the caller gets a reference, the log gets the traceback
            await self._break(name, send)
            return
        await _respond(send, 200, content, _JSON)
        self._ok[name].inc()
        self._rows[name].inc(len(answer.ids))
        self._seconds[name].observe(time.perf_counter() - began)
        for view, rows in answer.missing.items():
            self._metrics.missing.labels(name, view).inc(rows)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        limit = self._settings.max_body_bytes
        for key, value in scope["headers"]:
            if key == b"content-length" and value.isdigit() and int(value) > limit:
                raise RequestTooLargeError(f"a body must have at most {limit} bytes", value=int(value))
        message = await asyncio.wait_for(receive(), BODY_TIMEOUT_S)
        if message["type"] == "http.request" and not message.get("more_body", False):
            body: bytes = message.get("body", b"")
            return body if len(body) <= limit else self._too_large(limit)
        async with asyncio.timeout(BODY_TIMEOUT_S):
            parts: list[bytes] = []
            size = 0
            while message["type"] == "http.request":
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    self._too_large(limit)
                if not message.get("more_body", False):
                    return b"".join(parts)
                message = await receive()
        return None

    def _too_large(self, limit: int) -> bytes:
        raise RequestTooLargeError(f"a body must have at most {limit} bytes")

    async def _fail(self, name: str, error: EverfitError, send: Send) -> None:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
        self._count(name, status)
        if status == 500:
            _log.error("model %s: %s", name, error)
        described = {"message": str(error), "field": error.place, "value": error.value, "expected": error.rule}
        await self._refuse(send, status, {key: value for key, value in described.items() if value not in (None, "")})

    async def _break(self, name: str, send: Send) -> None:
        reference = uuid.uuid4().hex[:12]
        _log.exception("model %s could not answer, reference %s", name, reference)
        self._count(name, 500)
        await self._refuse(send, 500, {"message": f"This request could not be answered; reference {reference}."})

    def _count(self, name: str, status: int) -> None:
        # Names that are not served are the caller's invention; each would be a time series of its own.
        known = name if name in self._plane.models else "unknown"
        self._metrics.requests.labels(known, str(status)).inc()

    async def _refuse(
        self, send: Send, status: int, error: Mapping[str, object], *headers: tuple[bytes, bytes]
    ) -> None:
        await _respond(send, status, msgspec.json.encode({"error": error}, enc_hook=str), _JSON, *headers)

    def _index(self) -> tuple[bytes, bytes]:
        models = [
            {"name": name, "version": served.version, "digest": served.digest, "form": served.form}
            for name, served in self._plane.models.items()
        ]
        return self._encode({"models": models}), _JSON

    def _describe(self, name: str) -> dict[str, object]:
        schema = self._plane.model(name).schema
        return {
            "name": name,
            "version": self._plane.model(name).version,
            "task": schema.task,
            "request": [{"name": field.name, "type": field.type} for field in schema.request],
            "features": schema.names,
            "classes": schema.classes,
            "example": {"inputs": {field.name: field.example for field in schema.request}},
        }


async def _respond(send: Send, status: int, body: bytes, kind: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), length, *headers]}
    )
    await send({"type": "http.response.body", "body": body})
