"""``everfit init``: a new project that passes its own checks."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import typer

import everfit
from everfit.cli.design_answers import Approvers, Contact, Owner, Yes, ask_for
from everfit.cli.output import Output, bold
from everfit.cli.printing import printed
from everfit.cli.sample_data import sample_data
from everfit.core.clock import SystemClock
from everfit.core.errors import ProjectError
from everfit.design.draft import REVIEW_AFTER, TARGET_AFTER, flow, placeholder

CiSystem = Literal["github", "gitlab"]
_WORKFLOWS: Mapping[CiSystem, str] = {"github": ".github/workflows/release.yml", "gitlab": ".gitlab-ci.yml"}
Template = Literal["forecasting", "regression", "binary", "multiclass"]
_WORDS = "check", "train", "promote", "features materialize", "serve"


@printed
def init(
    name: Annotated[str, typer.Argument(help="The project's name, and the name of its folder.")],
    folder: Annotated[Path, typer.Option("--in", help="Folder to create it in.")] = Path(),
    template: Annotated[
        Template, typer.Option("--template", help="The example to begin with, by what it predicts.")
    ] = "forecasting",
    ci: Annotated[
        CiSystem | None,
        typer.Option(
            "--ci", help="Write a workflow that tests each push by the steps of a release.", show_default=False
        ),
    ] = None,
    owner: Owner = None,
    approver: Approvers = None,
    contact: Contact = None,
    yes: Yes = False,
) -> Output:
    """Create a new project: definitions, data, tests, design record.

    On a terminal, it asks for what the record needs of you; what is not given is marked as to be filled in.
    """
    given = {"owner": [owner or ""], "approvers": approver or [""], "contact": [contact or ""]}
    answers = ask_for(given, quiet=yes)
    made = scaffold(name, folder, template=template, ci=ci, today=SystemClock().now().date(), answers=answers)
    steps = (f"cd {made}", *map("everfit {}".format, _WORDS))
    document = {"project": name, "folder": str(made), "files": sorted(map(str, made.rglob("*")))}
    return Output(document, [("Created", bold(f"{made}."), "Next:"), *(f"  {step}" for step in steps)])


def scaffold(
    name: str,
    parent: Path,
    *,
    today: date,
    template: str = "forecasting",
    ci: CiSystem | None = None,
    answers: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Path:
    """Create ``parent/name`` from a template, with data that end the day before ``today``, a date in UTC.

    ``ci`` is the system that a workflow is written for, if any. ``answers`` are texts of the design record, by field.
    Raises :class:`ProjectError` if the name is not valid, or the folder exists and is not empty.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        rule = "a project's name must be lower-case letters, digits, '-' and '_', and start with a letter"
        raise ProjectError(rule, value=name)
    folder = parent / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProjectError("the new project's folder must not exist yet, or be empty", value=str(folder))
    with as_file(files("everfit.cli") / "templates") as templates:
        for part in ("shared", template):
            shutil.copytree(templates / part, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        if ci is not None:
            workflow = folder / _WORKFLOWS[ci]
            workflow.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(templates / "ci" / f"{ci}.yml", workflow)
    words = {"__NAME__": name, "__TODAY__": str(today), "__TARGET_BY__": str(today + TARGET_AFTER)}
    words |= {"__REVIEW_BY__": str(today + REVIEW_AFTER), "__EVERFIT__": everfit.__version__}
    words["__PYTHON__"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    for field in ("owner", "approvers", "contact"):
        given = list(answers.get(field, ())) or [placeholder(field)]
        words[f"__{field.upper()}__"] = flow(given if field == "approvers" else given[0])
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(r"__[A-Z_]+__", lambda word: words.get(word[0], word[0]), text), encoding="utf-8")
    file, content = sample_data(template, today)
    data = folder / "data" / file
    data.parent.mkdir()
    data.write_text(content, encoding="utf-8")
    return folder
