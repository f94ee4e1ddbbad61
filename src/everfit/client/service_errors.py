"""Errors of the service as exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from everfit.client.channel import ServiceResponse
from everfit.core.errors import (
    InvalidRequestError,
    NotReadyError,
    RequestError,
    RequestTooLargeError,
    UnknownModelError,
)

_ERRORS: Mapping[int, type[RequestError]] = {
    404: UnknownModelError,
    413: RequestTooLargeError,
    422: InvalidRequestError,
    503: NotReadyError,
}


class _Problem(Struct):
    message: str
    field: str = ""
    value: Any = None
    expected: str | UnsetType = UNSET


class _ErrorBody(Struct):
    error: _Problem


def error_of(response: ServiceResponse) -> RequestError:
    """Return the exception for an error of the service, with its rule, value, place and remedy."""
    try:
        error = msgspec.json.decode(response.body, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return unexpected_response(response)
    kind = _ERRORS.get(response.status, RequestError)
    if error.expected is UNSET:
        rule, _, remedy = error.message.partition(". ")
        return kind(rule.removesuffix("."), remedy=remedy)
    rule = f"must be {error.expected}" if f"must be {error.expected}" in error.message else error.expected
    found = kind(rule, value=error.value, place=error.field)
    found.remedy = error.message.removeprefix(str(found)).strip() if error.message.startswith(str(found)) else ""
    return found


def unexpected_response(response: ServiceResponse) -> RequestError:
    """Return the exception for a response that is not a prediction service's."""
    error = response.body[:200].decode(errors="replace")
    rule, remedy = "a prediction service must be at this address", "Check the address, and what stands between."
    return RequestError(rule, value=f"{response.status} {error}", remedy=remedy)
