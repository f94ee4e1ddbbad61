"""``everfit init``: a new project that passes its own checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.options import AsJson
from everfit.cli.output import bold, print_json, print_line
from everfit.cli.scaffold import scaffold
from everfit.core.clock import SystemClock


def init(
    name: Annotated[str, typer.Argument(help="The project's name, and the name of its folder.")],
    folder: Annotated[Path, typer.Option("--in", help="Folder to create it in.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Create a new project: definitions, settings, data, tests."""
    made = scaffold(name, folder, today=SystemClock().now().date())
    if as_json:
        print_json({"project": name, "folder": str(made), "files": sorted(map(str, made.rglob("*")))})
        return
    steps = ("check", "train", "promote", "features materialize", "serve")
    print_line("Created ", bold(made), ". Next:", sep="")
    print_line(f"  cd {made}")
    for step in steps:
        print_line(f"  everfit {step}")
