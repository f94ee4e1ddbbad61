"""Copies the template of a new project."""

from __future__ import annotations

import re
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from everfit.core.errors import ProjectError

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
PLACEHOLDER = "__NAME__"
DATA_END = "2026-06-30"
"""When the data that comes with the template ends; a later present would find it stale, and say so."""


def scaffold(name: str, parent: Path) -> Path:
    """Make ``parent/name`` from the template.

    Raises:
        ProjectError: If the name is not usable, or the folder exists and is not empty.
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
            if PLACEHOLDER in text:
                path.write_text(text.replace(PLACEHOLDER, name), encoding="utf-8")
    return folder
