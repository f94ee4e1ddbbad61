"""From a service's refusal back to the error that it was there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from everfit.client.channel import Answer
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


class _Said(Struct):
    message: str
    field: str = ""
    value: Any = None
    expected: str | UnsetType = UNSET


class _Refusal(Struct):
    error: _Said


def refusal(answer: Answer) -> RequestError:
    """The error behind an answer that is none; in the service's own words, its parts where they belong."""
    try:
        said = msgspec.json.decode(answer.body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return strange(answer)
    kind = _ERRORS.get(answer.status, RequestError)
    if said.expected is UNSET:
        rule, _, remedy = said.message.partition(". ")
        return kind(rule.removesuffix("."), remedy=remedy)
    rule = f"must be {said.expected}" if f"must be {said.expected}" in said.message else said.expected
    found = kind(rule, value=said.value, place=said.field)
    found.remedy = said.message.removeprefix(str(found)).strip() if said.message.startswith(str(found)) else ""
    return found


def strange(answer: Answer) -> RequestError:
    """The error where somebody answers who is no prediction service."""
    said = answer.body[:200].decode(errors="replace")
    return RequestError(
        "a prediction service must be at this address", value=f"{answer.status} {said}",
        remedy="Check the address, and what stands between.",
    )  # fmt: skip
