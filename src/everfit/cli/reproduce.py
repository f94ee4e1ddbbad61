"""``everfit reproduce``: a version is trained again from what was recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder, Version
from everfit.cli.output import Styled, print_json, print_line
from everfit.cli.progress_bars import Bars
from everfit.commands import reproduce as command
from everfit.wiring import open_system


def reproduce(
    version: Version = "champion",
    model: Annotated[str | None, typer.Option("--model", help="The model's name, if the project has several.")] = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train a version again as recorded; compare the predictions.

    Code, data and seed are those that were recorded with the version.
    """
    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        outcome = command.reproduce(system, model, version, progress=progress)
    if as_json:
        print_json(outcome)
    else:
        mark = Styled("✓ identical", "green") if outcome.identical else Styled("✗ different", "red")
        print_line(mark, f" {outcome.model} version {outcome.version}: {outcome.sentence}")
        for difference in outcome.differences:
            print_line(f"  • {difference}")
    raise typer.Exit(0 if outcome.identical else 1)
