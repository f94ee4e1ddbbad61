"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-p",
        envvar="EVERFIT_PROJECT_FOLDER",
        help="Folder with everfit.toml; by default this one or the nearest above it.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
ModelName = Annotated[
    str | None, typer.Argument(help="Model; may be left out where the project has only one.", show_default=False)
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it goes into the history.")]
FollowReplay = Annotated[
    bool, typer.Option("--replay", help="Take the time from a replay, as 'everfit replay' leads it.")
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", help="Use only what was known then, e.g. 2013-03-01 or 2013-03-01T00:00Z.", show_default="now"
    ),
]
Start = Annotated[str | None, typer.Option("--start", help="First event time, inclusive.", show_default="all history")]
End = Annotated[str | None, typer.Option("--end", help="Last event time, exclusive.", show_default="--as-of")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.", show_default="[serving] host")]
Port = Annotated[
    int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one.", show_default="[serving] port")
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes that answer.", show_default="[serving] workers")
]
