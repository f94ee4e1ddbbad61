"""An HTTP answer as a value, and how each error becomes one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec

from everfit.core.errors import (
    EverfitError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    RequestTooLargeError,
    StoreError,
    UnknownModelError,
    UnsupportedEncodingError,
)
from everfit.serving.http.content_encoding import ACCEPTED

_log = logging.getLogger(__name__)

JSON = b"application/json"
encode_json = msgspec.json.Encoder().encode

_STATUS: Mapping[type[EverfitError], int] = {
    InvalidRequestError: 422,
    UnknownModelError: 404,
    RequestTooLargeError: 413,
    UnsupportedEncodingError: 415,
    NotReadyError: 503,
    OverloadedError: 503,
    StoreError: 503,
}


class Reply(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    unless: Callable[[Exception], Reply] | None = None
    """What to send instead, should the record of this answer not reach the disk; ``None`` where nothing waits."""


def reply_json(content: Any) -> Reply:
    """Success, with a value as JSON."""
    return Reply(200, encode_json(content))


class Refusal(NamedTuple):
    """Why there is no answer, for any protocol to say in its own form."""

    status: int
    message: str
    details: Mapping[str, Any] = {}
    headers: tuple[tuple[bytes, bytes], ...] = ()


def refuse(status: int, message: str, *headers: tuple[bytes, bytes], **details: Any) -> Reply:
    """An error of HTTP itself: ``{"error": {"message": …, …}}``."""
    return say(Refusal(status, message, details, headers))


def say(refusal: Refusal) -> Reply:
    """A refusal in the service's own form."""
    content = {"error": {**refusal.details, "message": refusal.message}}
    return Reply(refusal.status, encode_json(content), headers=refusal.headers)


def explain(error: Exception) -> Refusal:
    """What the caller may know of an error. Of the service's own faults that is an id, and the log says the rest.

    A wrong request has the details ``field``, ``value`` and ``expected``, ``field`` a path such as
    ``inputs[0].distance``.
    """
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    if status is None or not isinstance(error, EverfitError):
        incident = str(uuid4())
        _log.error("a request failed; incident %s", incident, exc_info=error)
        return Refusal(500, f"the service failed; its log says why, under the incident {incident}", {"id": incident})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        if not isinstance(error, OverloadedError):
            _log.warning("the service cannot answer: %s", error)
        return Refusal(status, str(error), headers=((b"retry-after", b"1"),))
    details: dict[str, Any] = {}
    if isinstance(error, UnsupportedEncodingError):
        return Refusal(status, str(error), {"value": error.value}, ((b"accept-encoding", ACCEPTED.encode()),))
    if isinstance(error, InvalidRequestError | RequestTooLargeError):
        expected = error.rule.removeprefix("must be ")
        details = {"field": error.place, "value": error.value, "expected": expected}
    return Refusal(status, str(error), details)
