"""``everfit check``: the definitions are checked against the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from everfit.cli.options import AsOf, ProjectFolder
from everfit.cli.output import FAILED, OK, Item, Output, Styled, bold
from everfit.cli.printing import printed
from everfit.cli.release_process import open_in_release
from everfit.commands import validate
from everfit.core.progress import Progress
from everfit.core.records import DesignCheck, Problem


@printed
def check(progress: Progress, project: ProjectFolder = None, as_of: AsOf = None) -> Output:
    """Check the definitions against the data.

    All problems are printed at once, with place, value and remedy. Exit code 1 if there is an error.
    """
    found = validate.check(open_in_release(project), as_of=as_of, progress=progress)
    return Output(found, _lines(found), code=0 if found.passed else 1)


def problem_lines(problems: Iterable[Problem]) -> Iterator[Item]:
    """Yield the lines of problems, each with its remedy."""
    for problem in problems:
        colour = "red" if problem.severity == "error" else "yellow"
        value = f", but got {problem.value}" if problem.value else ""
        yield Styled(problem.severity, colour), "", bold(f"{problem.place}:"), f"{problem.rule}{value}."
        if problem.remedy:
            yield "       →", problem.remedy


def _lines(found: DesignCheck) -> Iterator[Item]:
    yield from problem_lines(found.problems)
    yield from found.windows
    errors = sum(problem.severity == "error" for problem in found.problems)
    for sentence in found.sampled:
        yield "sampled", "", f"{sentence}."
    summary = f"{len(found.checked)} checks, {errors} errors, {len(found.problems) - errors} warnings."
    yield OK if found.passed else FAILED, summary
