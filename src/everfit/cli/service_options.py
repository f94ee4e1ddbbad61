"""What commands that ask a running service share: where it is, what a text means to it, which row it refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from everfit.client.client import Client
from everfit.core.errors import InvalidRequestError, RequestError, TimestampError
from everfit.wiring import find_root, load_settings

if TYPE_CHECKING:
    from everfit.client.client import Client

ServiceUrl = Annotated[str | None, typer.Option("--url", help="The service.", show_default="[serving] host and port")]
BatchRows = Annotated[int, typer.Option("--batch", min=1, help="Rows in one request.")]

_TIMEOUT_S = 30.0
_TYPES: Mapping[str, tuple[Any, str]] = {
    "integer": (int, "an integer, or nothing"),
    "number": (float, "a number, or nothing"),
    "boolean": (bool, "true, false, 1, 0 or nothing"),
    "instant": (datetime, "an instant with a time zone such as 2026-03-01T08:30:00Z, or nothing"),
}
# A row's place, as the service and its client say it, or as msgspec does.
_PLACE = re.compile(r"(?:^|\$\.)(?:inputs|outcomes)(?:\[(\d+)\])?(?:\.([^`]*))?")


def open_client(url: str | None, project: Path | None, *, retries: int = 3) -> Client:
    """A client of the service at ``url``, or else of the project's own.

    Args:
        url: The service's address.
        project: The project's folder.
        retries: How often at most a call is repeated.

    Raises:
        ProjectError: If no address is given, and there is no project here.
        SettingsError: If the address is none.
    """
    if url is None:
        serving = load_settings(find_root(project)).serving
        url = f"http://{serving.host}:{serving.port}"
    return Client(url, timeout_s=_TIMEOUT_S, retries=retries)


def typed(text: Any, kind: str, *, place: str) -> Any:
    """The value that a text spells, where JSON has more than text for it.

    Args:
        text: ``None`` is nothing.
        kind: The request field's type; dates and text stay text.
        place: Such as ``inputs[3].distance``.

    Raises:
        InvalidRequestError: If it does not spell one.
    """
    if text is None or kind not in _TYPES:
        return text

    wanted, words = _TYPES[kind]
    wrong = InvalidRequestError(f"must be {words}", value=text, place=place)
    try:
        # Files have more forms of ISO 8601 than JSON has: Polars writes +0000.
        found = datetime.fromisoformat(text) if wanted is datetime else msgspec.convert(text, wanted, strict=False)
    except ValueError as problem:  # msgspec's ValidationError is one
        raise wrong from problem
    if isinstance(found, datetime) and found.tzinfo is None:
        raise wrong
    return found


def id_of(row: Mapping[str, Any], column: str, *, place: str) -> str:
    """A row's id, as text.

    Raises:
        InvalidRequestError: If it has none.
    """
    if row.get(column) is None:
        raise InvalidRequestError("must be given: an id", place=f"{place}.{column}")
    return str(row[column])


@contextmanager
def naming_rows(source: str, first: int, count: int, *, remedy: str = "") -> Iterator[None]:
    """Let what is refused within name the row of the source that it is about, counted from 1.

    Args:
        source: The file's name; empty where there is none.
        first: The number of the batch's first row.
        count: Rows in the batch.
        remedy: What to say besides, of what came before.

    Raises:
        RequestError: As within, with another place.
        TimestampError: As within, with another place.
    """
    try:
        yield
    except (RequestError, TimestampError) as error:
        found = _PLACE.search(error.place) or _PLACE.search(error.rule)
        if found:
            where = [f"row {first + int(found[1] or 0)}", found[2]]
        else:
            where = [f"rows {first} to {first + count - 1}" if count > 1 else f"row {first}", error.place]
        place = ", ".join(each for each in (source, *where) if each)
        remedies = " ".join(each for each in (error.remedy, remedy) if each)
        raise type(error)(error.rule, value=error.value, remedy=remedies, place=place) from error
