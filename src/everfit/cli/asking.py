"""Asks a prediction service over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from everfit.core.errors import InvalidRequestError, NotReadyError, RequestError, UnknownModelError

_TIMEOUT_S = 30.0
_ERRORS: Mapping[int, type[RequestError]] = {404: UnknownModelError, 422: InvalidRequestError, 503: NotReadyError}


def read_rows(text: str) -> list[dict[str, Any]]:
    """Rows out of JSON text: one object, or a list of objects.

    Raises:
        InvalidRequestError: If it is neither.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidRequestError(f"the rows must be JSON: {error}", value=text[:80]) from error
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise InvalidRequestError("the rows must be one JSON object or a list of them", value=text[:80])
    return rows


def ask(url: str, model: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Post rows to ``/predict/{model}`` and return the answer.

    Raises:
        RequestError: If the service refuses, with its own words, or cannot be reached.
    """
    body = json.dumps({"inputs": list(rows)}, default=str).encode()
    request = urllib.request.Request(  # noqa: S310 - the caller's own service
        f"{url.rstrip('/')}/predict/{model}", data=body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - as above
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        raise _ERRORS.get(error.code, RequestError)(f"the service refused: {_message(error)}") from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise NotReadyError(
            f"the prediction service could not be asked: {error}", value=url, remedy="Start it with 'everfit serve'."
        ) from error


def _message(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        found = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {text[:200]}"
    return str(found.get("message", found) if isinstance(found, dict) else found)
