"""``everfit check``: the definitions are checked against the data."""

from __future__ import annotations

import typer

from everfit.cli.instants import read_moment
from everfit.cli.options import AsJson, AsOf, ProjectFolder
from everfit.cli.output import FAILED, OK, Styled, bold, print_json, print_line
from everfit.cli.progress_bars import Bars
from everfit.commands import validate
from everfit.wiring import open_system


def check(project: ProjectFolder = None, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Check the definitions against the data.

    All problems are printed at once, with place, value and remedy. Exit code 1 if there is an error.
    """
    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        found = validate.check(system, as_of=read_moment(as_of, name="--as-of"), progress=progress)
    if as_json:
        print_json(found)
        raise typer.Exit(0 if found.passed else 1)
    for problem in found.problems:
        colour = "red" if problem.severity == "error" else "yellow"
        value = f", but got {problem.value}" if problem.value else ""
        print_line(Styled(problem.severity, colour), "  ", bold(problem.place), f": {problem.rule}{value}.", sep="")
        if problem.remedy:
            print_line("       →", problem.remedy)
    errors = sum(problem.severity == "error" for problem in found.problems)
    summary = f"{len(found.checked)} checks, {errors} errors, {len(found.problems) - errors} warnings"
    print_line(OK if found.passed else FAILED, f"{summary}.")
    raise typer.Exit(0 if found.passed else 1)
