"""``everfit demo``: the whole way from nothing to an answered prediction, with the real parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.options import AsJson


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Folder with flights.parquet: run the flights instead of the simulated deliveries."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--in", help="Keep the project here.", show_default="a temporary folder")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check, materialize, train, gate, register, promote, serve and ask, on an example that ships with Everfit."""
    from everfit.cli.tour import tour

    tour(data=data, folder=folder, as_json=as_json)
