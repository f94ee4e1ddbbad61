"""``everfit demo``: a model that looks after itself, on an example that ships with Everfit."""

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
        typer.Option(
            "--data", help="Folder with flights.parquet: from nothing to an answered prediction with real flights."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--in", help="Keep the project here.", show_default="a temporary folder")
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Leave the system up at the end, to be looked at.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the loop closing: a change, the finding, the order, training, gates, rollout and recovery.

    Two weeks of a simulated delivery company pass in about two minutes. Nothing in the loop is scripted.
    """
    if data is not None:
        tour(data=data, folder=folder, as_json=as_json)
        return

    show(folder=folder, stay=stay, as_json=as_json)
