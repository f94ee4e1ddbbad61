"""Options of commands that use a running service, conversion of text values, and row numbers in errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from everfit.client.client import Client
from everfit.core.errors import InvalidRequestError, RequestError, TimestampError
from everfit.wiring import find_root, load_settings

ServiceUrl = Annotated[
    str | None, typer.Option("--url", help="URL of the service.", show_default="[serving] host and port")
]
BatchRows = Annotated[int, typer.Option("--batch", min=1, help="Number of rows in a request.")]

_TYPES: Mapping[str, tuple[Any, str]] = {
    "integer": (int, "an integer, or nothing"),
    "number": (float, "a number, or nothing"),
    "boolean": (bool, "true, false, 1, 0 or nothing"),
    "instant": (datetime, "an instant with a time zone such as 2026-03-01T08:30:00Z, or nothing"),
}
# The place of a row in errors of the service, of its client, and of msgspec.
_PLACE = re.compile(r"(?:^|\$\.)(?:inputs|outcomes)(?:\[(\d+)\])?(?:\.([^`]*))?")


def open_client(url: str | None, project: Path | None, *, retries: int = 3) -> Client:
    """Return a client of the service at ``url``, by default of the project's service.

    Raises :class:`ProjectError` if no URL is given and there is no project here, :class:`SettingsError` if the URL is
    not valid.
    """
    if url is None:
        serving = load_settings(find_root(project)).serving
        url = f"http://{serving.host}:{serving.port}"
    return Client(url, timeout_s=30.0, retries=retries)


def typed(text: Any, kind: str, *, place: str) -> Any:
    """Return the value of a text for a request field of type ``kind``; dates, text and ``None`` stay as they are.

    Raises :class:`InvalidRequestError` with the value's place, such as ``inputs[3].distance``, for other text.
    """
    if text is None or kind not in _TYPES:
        return text
    wanted, words = _TYPES[kind]
    wrong = InvalidRequestError(f"must be {words}", value=text, place=place)
    try:
        # Files may have other forms of ISO 8601 than JSON: Polars writes +0000.
        found = datetime.fromisoformat(text) if wanted is datetime else msgspec.convert(text, wanted, strict=False)
    except ValueError as problem:  # msgspec's ValidationError is one
        raise wrong from problem
    if isinstance(found, datetime) and found.tzinfo is None:
        raise wrong
    return found


def id_of(row: Mapping[str, Any], column: str, *, place: str) -> str:
    """Return a row's id as text. Raises :class:`InvalidRequestError` if it has none."""
    if row.get(column) is None:
        raise InvalidRequestError("must be given: an id", place=f"{place}.{column}")
    return str(row[column])


@contextmanager
def naming_rows(source: str, first: int, count: int, *, remedy: str = "") -> Iterator[None]:
    """Add the file's name and the number of the row, from 1, to the place of errors about a batch of rows.

    Raises :class:`RequestError` and :class:`TimestampError` as within, with ``remedy`` behind theirs.
    """
    try:
        yield
    except (RequestError, TimestampError) as error:
        found = _PLACE.search(error.place) or _PLACE.search(error.rule)
        if found:
            where = [f"row {first + int(found[1] or 0)}", found[2]]
        else:
            where = [f"rows {first} to {first + count - 1}" if count > 1 else f"row {first}", error.place]
        place = ", ".join(filter(None, (source, *where)))
        remedies = " ".join(filter(None, (error.remedy, remedy)))
        raise type(error)(error.rule, value=error.value, remedy=remedies, place=place) from error
