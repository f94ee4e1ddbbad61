"""HTTP before the data plane: bare ASGI, since a framework would cost more than the prediction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import Any, NamedTuple
from uuid import uuid4

from everfit.core.errors import EverfitError, RequestTooLargeError, UnknownModelError
from everfit.serving.decode import RequestDecoder
from everfit.serving.metrics import CONTENT_TYPE, Metrics, ModelMetrics
from everfit.serving.plane import Answer, Plane
from everfit.serving.reply import Reply, explain, refuse, reply_json
from everfit.serving.served_model import ServedModel

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_INLINE_BYTES = 16 * 1024
"""A larger body has many rows; it is answered in a thread, so that others need not wait for it."""
_PREDICT = "/predict/"
_MODELS = "/models/"

_log = logging.getLogger(__name__)


class _Gone(Exception):  # noqa: N818 - a signal between two functions below
    """The caller hung up."""


class _TooSlow(Exception):  # noqa: N818 - as above
    """The caller took too long."""


class _Route(NamedTuple):
    model: ServedModel
    decoder: RequestDecoder
    metrics: ModelMetrics


class App:
    """The service as an ASGI application.

    ``POST /predict/{model}``; ``GET`` of ``/``, ``/models/{model}``, ``/health/live``, ``/health/ready`` and
    ``/metrics``.

    Args:
        plane: What answers.
        max_body_bytes: Largest request body; the rest of a larger one is not kept.
        max_rows: Most rows in one request.
        body_timeout_s: How long a caller may take to send a body.
    """

    def __init__(self, plane: Plane, *, max_body_bytes: int, max_rows: int, body_timeout_s: float = 30.0) -> None:
        self._plane = plane
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._metrics = Metrics()
        self._metrics.serve(plane.models)
        self._unrouted = self._metrics.for_model("")
        self._routes = {
            model.name: _Route(
                model, RequestDecoder(model.schema, max_rows=max_rows), self._metrics.for_model(model.name)
            )
            for model in plane.models
        }
        self._pages: Mapping[str, Callable[[], Reply]] = {
            "/": self._index,
            "/health/live": partial(reply_json, {"live": True}),
            "/health/ready": self._ready,
            "/metrics": lambda: Reply(200, self._metrics.text(), CONTENT_TYPE),
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        try:
            if path.startswith(_PREDICT):
                reply = await self._predict(path[len(_PREDICT) :], scope, receive)
            else:
                reply = self._page(path, scope["method"])
        except _Gone:
            return
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", str(len(reply.body)).encode()),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _predict(self, name: str, scope: Message, receive: Receive) -> Reply:
        began = perf_counter()
        metrics = self._unrouted
        try:
            route = self._route(name)
            metrics = route.metrics
            if scope["method"] == "POST":
                body = await self._read(scope, receive)
                if len(body) <= _INLINE_BYTES:
                    answer = self._answer(route, body)
                else:
                    answer = await asyncio.to_thread(self._answer, route, body)
                reply = reply_json(answer)
                metrics.answered(answer, perf_counter() - began)
                return reply
            reply = _wrong_method(scope["method"], "POST")
        except _TooSlow:
            rule = f"a request's body must arrive within {self._body_timeout_s:g} seconds"
            reply = refuse(408, rule, (b"connection", b"close"))
        except _Gone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a model or a project's code raises: logged, never shown
            reply = _explain_or_log(error)
        metrics.refused(reply.status, perf_counter() - began)
        return reply

    def _route(self, name: str) -> _Route:
        try:
            return self._routes[name]
        except KeyError:
            known = ", ".join(self._routes) or "none"
            raise UnknownModelError(
                "this service must serve the model that is asked", value=name[:200], remedy=f"Served are: {known}."
            ) from None

    def _answer(self, route: _Route, body: bytes) -> Answer:
        request = route.decoder.decode(body)
        return self._plane.predict(route.model, request.rows, request.ids)

    async def _read(self, scope: Message, receive: Receive) -> bytes:
        """The whole body, never holding much more than is allowed."""
        for name, value in scope["headers"]:
            if name == b"content-length":
                self._require_small(int(value))
        # What asyncio.timeout does, for a fifth of its 6 µs.
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        alarm = loop.call_later(self._body_timeout_s, task.cancel)
        try:
            body, is_last = await _receive(receive)
            self._require_small(len(body))
            if is_last:
                return body
            parts = bytearray(body)
            while not is_last:
                body, is_last = await _receive(receive)
                parts += body
                self._require_small(len(parts))
            return bytes(parts)
        except asyncio.CancelledError:
            if alarm.when() > loop.time():
                raise
            task.uncancel()
            raise _TooSlow from None
        finally:
            alarm.cancel()

    def _require_small(self, size: int) -> None:
        if size > self._max_body_bytes:
            raise RequestTooLargeError(
                f"a request's body may have at most {self._max_body_bytes} bytes",
                value=size,
                remedy="Send the rows in several requests, or raise [serving] max_body_bytes.",
                place="body",
            )

    def _page(self, path: str, method: str) -> Reply:
        page = self._pages.get(path)
        if page is None and not path.startswith(_MODELS):
            known = [*self._pages, f"{_MODELS}{{model}}", f"{_PREDICT}{{model}}"]
            return refuse(404, f"there is nothing at {path[:200]!r}; there is {', '.join(known)}", paths=known)
        if method not in {"GET", "HEAD"}:
            return _wrong_method(method, "GET, HEAD")
        try:
            return page() if page else reply_json(self._route(path[len(_MODELS) :]).model.describe())
        except EverfitError as error:
            return _explain_or_log(error)

    def _index(self) -> Reply:
        models = [{"name": name, "version": version} for name, version in self._plane.versions().items()]
        return reply_json({"service": "everfit", "models": models})

    def _ready(self) -> Reply:
        self._plane.require_ready()
        return reply_json({"ready": True})


async def _receive(receive: Receive) -> tuple[bytes, bool]:
    """A piece of the body, and whether it was the last."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Gone
    return message.get("body", b""), not message.get("more_body")


def _wrong_method(method: str, allowed: str) -> Reply:
    return refuse(405, f"the method must be {allowed}, but got {method!r}", (b"allow", allowed.encode()))


def _explain_or_log(error: Exception) -> Reply:
    """What the caller may know. Of the service's own faults that is an id, under which the log says the rest."""
    reply = explain(error) if isinstance(error, EverfitError) else None
    if reply is not None:
        if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
            _log.warning("the service cannot answer: %s", error)
        return reply
    incident = str(uuid4())
    _log.error("a prediction failed; incident %s", incident, exc_info=error)
    return refuse(500, f"the service failed; its log says why, under the incident {incident}", id=incident)
