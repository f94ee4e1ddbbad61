"""An HTTP answer as a value, and how each error becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from everfit.core.errors import (
    EverfitError,
    InvalidRequestError,
    NotReadyError,
    RequestTooLargeError,
    StoreError,
    UnknownModelError,
)

JSON = b"application/json"
encode_json = msgspec.json.Encoder().encode

_STATUS: Mapping[type[EverfitError], int] = {
    InvalidRequestError: 422,
    UnknownModelError: 404,
    RequestTooLargeError: 413,
    NotReadyError: 503,
    StoreError: 503,
}


class Reply(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def reply_json(content: Any) -> Reply:
    """Success, with a value as JSON."""
    return Reply(200, encode_json(content))


def refuse(status: int, message: str, *headers: tuple[bytes, bytes], **details: Any) -> Reply:
    """An error of HTTP itself: ``{"error": {"message": …, …}}``."""
    return Reply(status, encode_json({"error": {**details, "message": message}}), headers=headers)


def explain(error: EverfitError) -> Reply | None:
    """An error that the caller can do something about; ``None`` for those that are the service's own.

    A wrong request becomes ``{"error": {"field", "value", "expected", "message"}}``, ``field`` a path such as
    ``inputs[0].distance``.
    """
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        return None
    details: dict[str, Any] = {}
    if isinstance(error, InvalidRequestError | RequestTooLargeError):
        expected = error.rule.removeprefix("must be ")
        details = {"field": error.place, "value": error.value, "expected": expected}
    return refuse(status, str(error), **details)
