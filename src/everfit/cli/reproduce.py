"""``everfit reproduce``: was this version really made from what is recorded?"""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder


def reproduce(
    version: Annotated[str, typer.Argument(help="A version's number or alias.")] = "champion",
    model: Annotated[str | None, typer.Option("--model", help="Model, where the project has several.")] = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train a version again from its recorded code, data and seed, and compare the predictions."""
    from everfit.cli.output import Styled, print_json, print_line
    from everfit.cli.progress_bars import Bars
    from everfit.commands.reproduce import reproduce as run
    from everfit.wiring import open_system

    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        outcome = run(system, model, version, progress=progress)
    if as_json:
        print_json(outcome)
    else:
        mark = Styled("✓ identical", "green") if outcome.identical else Styled("✗ different", "red")
        print_line(mark, f" {outcome.model} version {outcome.version}: {outcome.sentence}")
        for difference in outcome.differences:
            print_line(f"  • {difference}")
    raise typer.Exit(0 if outcome.identical else 1)
