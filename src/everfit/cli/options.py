"""Arguments and options that several commands share."""

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
        help="Folder with everfit.toml; by default the current folder or the nearest one above it.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
ModelName = Annotated[
    str | None,
    typer.Argument(help="The model's name; may be left out if the project has only one.", show_default=False),
]
Version = Annotated[str, typer.Argument(help="A version's number or alias.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason; it is recorded in the history.")]
FollowReplay = Annotated[
    bool, typer.Option("--replay", help="Take the time from 'everfit replay' instead of this machine's clock.")
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Use only what was known at that time, such as 2013-03-01 or 2013-03-01T00:00Z.",
        show_default="now",
    ),
]
Start = Annotated[str | None, typer.Option("--start", help="First event time, inclusive.", show_default="all history")]
End = Annotated[str | None, typer.Option("--end", help="Last event time, exclusive.", show_default="--as-of")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on.", show_default="[serving] host")]
Port = Annotated[
    int | None, typer.Option("--port", help="Port to listen on; 0 chooses a free one.", show_default="[serving] port")
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Number of worker processes.", show_default="[serving] workers")
]
