"""``everfit demo``: the loop at work on an example that is installed with Everfit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.demo_loop import show
from everfit.cli.options import AsJson
from everfit.cli.tour import tour


def demo(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder with flights.parquet: show the way to a first prediction on real flights."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--in", help="Folder to create the project in.", show_default="a temporary folder"),
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the system running at the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the loop at work on an example.

    Two weeks of a simulated delivery company pass in about two minutes: a change, the finding, the training order,
    training, gates, rollout and recovery. Nothing in the loop is scripted.
    """
    if data is not None:
        tour(data=data, folder=folder, as_json=as_json)
    else:
        show(folder=folder, stay=stay, as_json=as_json)
