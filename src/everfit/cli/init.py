"""``everfit init``: a new project that passes its own checks at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.options import AsJson


def init(
    name: Annotated[str, typer.Argument(help="The project's name, which becomes its folder.")],
    folder: Annotated[Path, typer.Option("--in", help="Where to put the folder.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Make a new project from the template: definitions, settings, design, tests."""
    from everfit.cli.output import bold, print_json, print_line
    from everfit.cli.scaffold import scaffold
    from everfit.core.clock import SystemClock

    made = scaffold(name, folder, today=SystemClock().now().date())
    if as_json:
        print_json({"project": name, "folder": str(made), "files": sorted(str(each) for each in made.rglob("*"))})
        return
    steps = ("check", "train", "promote", "features materialize", "serve")
    print_line("Made ", bold(made), ". Next:", sep="")
    print_line(f"  cd {made}")
    for step in steps:
        print_line(f"  everfit {step}")
