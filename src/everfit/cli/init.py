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
    from everfit.cli.output import console, print_json
    from everfit.cli.scaffold import scaffold

    made = scaffold(name, folder)
    if as_json:
        print_json({"project": name, "folder": str(made), "files": sorted(str(each) for each in made.rglob("*"))})
        return
    console().print(
        f"Made [bold]{made}[/]. Next:\n  cd {made}\n  everfit check\n  everfit features materialize\n"
        "  everfit train\n  everfit promote\n  everfit serve"
    )
