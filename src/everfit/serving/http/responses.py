"""HTTP responses as values, and the mapping from errors to them."""

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
    ProcessError,
    RequestTooLargeError,
    StoreError,
    UnknownModelError,
    UnsignedRequestError,
    UnsupportedEncodingError,
)

_log = logging.getLogger(__name__)

JSON = b"application/json"
encode_json = msgspec.json.Encoder().encode

_STATUS: Mapping[type[EverfitError], int] = {
    InvalidRequestError: 422,
    UnsignedRequestError: 401,
    UnknownModelError: 404,
    RequestTooLargeError: 413,
    UnsupportedEncodingError: 415,
    NotReadyError: 503,
    OverloadedError: 503,
    ProcessError: 503,
    StoreError: 503,
}


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    on_write_error: Callable[[Exception], Response] | None = None
    """Makes the response that is sent instead if the record of this one cannot be written; ``None`` if the response
    does not depend on a record."""


def json_response(content: Any) -> Response:
    """Return a response of status 200 with a value as JSON."""
    return Response(200, encode_json(content))


def body_too_large(most: int, size: int | None = None, when: str = "") -> RequestTooLargeError:
    """Return the error for a body of more than ``most`` bytes."""
    rule = f"a request's body may have at most {most} bytes{when}"
    remedy = "Send the rows in several requests, or raise [serving] max_body_bytes."
    return RequestTooLargeError(rule, value=size, remedy=remedy, place="body")


class ErrorInfo(NamedTuple):
    """An error as a caller may see it; each protocol's codec writes it in its own form."""

    status: int
    message: str
    details: Mapping[str, Any] = {}
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def response(self, content: Mapping[str, Any]) -> Response:
        """Return it as a response with a content in the protocol's form."""
        return Response(self.status, encode_json(content), headers=self.headers)


def http_error(status: int, message: str, *headers: tuple[bytes, bytes], **details: Any) -> Response:
    """Return an error of HTTP itself: ``{"error": {"message": …, …}}``."""
    return error_response(ErrorInfo(status, message, details, headers))


def error_response(info: ErrorInfo) -> Response:
    """Return an error in the form of Everfit's own protocol."""
    return info.response({"error": {**info.details, "message": info.message}})


def error_info(error: Exception) -> ErrorInfo:
    """Return the part of an error that a caller may see.

    An invalid request has the details ``field`` (a path such as ``inputs[0].distance``), ``value`` and ``expected``.
    An internal error and a webhook that is refused are logged under a random id, and only the id is returned.
    """
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    if status is None or not isinstance(error, EverfitError):
        incident = str(uuid4())
        _log.error("a request failed; incident %s", incident, exc_info=error)
        return ErrorInfo(500, f"the service failed; its log says why, under the incident {incident}", {"id": incident})
    if isinstance(error, UnsignedRequestError):
        incident = str(uuid4())
        _log.warning("a webhook was refused: %s Incident %s", error, incident)
        return ErrorInfo(
            status, "the request is not accepted", {"id": incident}, ((b"www-authenticate", b"Signature"),)
        )
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        # The end of a process is in the log once.
        if not isinstance(error, OverloadedError | ProcessError):
            _log.warning("the service cannot respond: %s", error)
        return ErrorInfo(status, str(error), headers=((b"retry-after", b"1"),))
    if isinstance(error, UnsupportedEncodingError):
        return ErrorInfo(status, str(error), {"value": error.value}, ((b"accept-encoding", b"gzip, deflate"),))
    if isinstance(error, UnknownModelError):
        return ErrorInfo(status, str(error))
    expected = error.rule.removeprefix("must be ")
    return ErrorInfo(status, str(error), {"field": error.place, "value": error.value, "expected": expected})
