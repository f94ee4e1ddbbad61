"""Arguments and options that several commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from everfit.core.clock import SystemClock
from everfit.core.errors import SettingsError

_NOW = "now"
BY_HAND = "started by hand"
"""Default of :data:`Reason`."""


def parse_instant(text: str, *, name: str) -> datetime:
    """Return the instant of an ISO date or instant, or of ``now``; a date is its midnight in UTC.

    Raises :class:`SettingsError` if it is neither, or an instant without a zone.
    """
    if text.strip().lower() == _NOW:
        return SystemClock().now()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        rule = f"{name} must be now, or an ISO date or instant such as 2026-03-01T12:00Z"
        raise SettingsError(rule, value=text) from error
    if instant.tzinfo is not None:
        return instant.astimezone(UTC)
    if len(text) > len("2026-03-01"):
        raise SettingsError(f"{name} must have a time zone", value=text, remedy=f"Write {text}Z for UTC.")
    return instant.replace(tzinfo=UTC)


def instant(name: str, *, now_is_none: bool = False, **settings: Any) -> Any:
    """Return an option for an instant, see :func:`parse_instant`; ``None`` for now, if so wished."""

    def parse(text: str) -> datetime | None:
        return None if now_is_none and text.strip().lower() == _NOW else parse_instant(text, name=name)

    return typer.Option(name, parser=parse, metavar="<str>", **settings)


ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-p",
        envvar="EVERFIT_PROJECT_FOLDER",
        help="Folder with everfit.toml; by default the current folder or the nearest one above it.",
        show_default=False,
    ),
]
ProjectRoot = Annotated[Path, typer.Option("--project", help="Folder with everfit.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
ModelName = Annotated[
    str | None,
    typer.Argument(help="The model's name; may be left out if the project has only one.", show_default=False),
]
RequiredModelName = Annotated[str, typer.Argument(help="The model's name.")]
Version = Annotated[str, typer.Argument(help="A version's number or alias.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason; it is recorded in the history.")]
FollowReplay = Annotated[
    bool, typer.Option("--replay", help="Take the time from 'everfit replay' instead of this machine's clock.")
]
_AS_OF = "Use only what was known at that time, such as 2013-03-01 or 2013-03-01T00:00Z."
AsOf = Annotated[datetime | None, instant("--as-of", now_is_none=True, help=_AS_OF, show_default="now")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.", show_default="[serving] host")]
Port = Annotated[
    int | None, typer.Option("--port", help="Port to listen on; 0 chooses a free one.", show_default="[serving] port")
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Number of worker processes.", show_default="[serving] workers")
]
