"""``everfit init``: a new project that passes its own checks."""

from __future__ import annotations

import re
import shutil
from datetime import date
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from everfit.cli.output import Output, bold
from everfit.cli.printing import printed
from everfit.cli.sample_sales import sales_csv
from everfit.core.clock import SystemClock
from everfit.core.errors import ProjectError


@printed
def init(
    name: Annotated[str, typer.Argument(help="The project's name, and the name of its folder.")],
    folder: Annotated[Path, typer.Option("--in", help="Folder to create it in.")] = Path(),
) -> Output:
    """Create a new project: definitions, settings, data, tests."""
    made = scaffold(name, folder, today=SystemClock().now().date())
    steps = (f"cd {made}", *map("everfit {}".format, ("check", "train", "promote", "features materialize", "serve")))
    document = {"project": name, "folder": str(made), "files": sorted(map(str, made.rglob("*")))}
    return Output(document, [("Created", bold(f"{made}."), "Next:"), *(f"  {step}" for step in steps)])


def scaffold(name: str, parent: Path, *, today: date) -> Path:
    """Create ``parent/name`` from the template, with data that end the day before ``today``, a date in UTC.

    Raises :class:`ProjectError` if the name is not valid, or the folder exists and is not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        rule = "a project's name must be lower-case letters, digits, '-' and '_', and start with a letter"
        raise ProjectError(rule, value=name)
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProjectError("the new project's folder must not exist yet, or be empty", value=str(folder))
    with as_file(files("everfit.cli") / "template") as template:
        shutil.copytree(template, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("__NAME__", name).replace("__TODAY__", str(today)), encoding="utf-8")
    sales = folder / "data" / "sales.csv"
    sales.parent.mkdir()
    sales.write_text(sales_csv(today), encoding="utf-8")
    return folder
