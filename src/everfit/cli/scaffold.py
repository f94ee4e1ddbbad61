"""Creation of a new project from the template, with simulated data."""

from __future__ import annotations

import re
import shutil
from datetime import date
from importlib.resources import as_file, files
from pathlib import Path

from everfit.cli.sample_sales import sales_csv
from everfit.core.errors import ProjectError

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def scaffold(name: str, parent: Path, *, today: date) -> Path:
    """Create ``parent/name`` from the template, with data that end the day before.

    Args:
        name: The project's name.
        parent: Folder to create it in.
        today: The present date, in UTC.

    Raises:
        ProjectError: If the name is not valid, or the folder exists and is not empty.
    """
    if not _NAME.fullmatch(name):
        raise ProjectError(
            "a project's name must be lower-case letters, digits, '-' and '_', and start with a letter", value=name
        )
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProjectError("the new project's folder must not exist yet, or be empty", value=str(folder))
    with as_file(files("everfit.cli") / "template") as template:
        shutil.copytree(template, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("__NAME__", name).replace("__TODAY__", str(today)), encoding="utf-8")
    data = folder / "data"
    data.mkdir()
    (data / "sales.csv").write_text(sales_csv(today), encoding="utf-8")
    return folder
