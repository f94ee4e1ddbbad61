"""``everfit design``: design records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from everfit.cli.check import problem_lines
from everfit.cli.design_answers import Approvers, Contact, Owner, Purpose, Yes, ask_for
from everfit.cli.options import ModelName
from everfit.cli.output import CAUTION, FAILED, OK, Item, Output, Table, bold, done, minute
from everfit.cli.printing import printed
from everfit.commands import design as commands
from everfit.commands.design import DesignStatus
from everfit.commands.design_history import DesignHistory, design_history
from everfit.commands.fallback import check_fallback
from everfit.design.draft import ASKED
from everfit.design.record import flatten
from everfit.system import System
from everfit.wiring import actor

_MOST = typer.Option("--most", min=1, help="Newest commits to look at.")


@printed
def show(system: System, model: ModelName = None) -> Output:
    """Show a design record, its gates, and what is wrong with it.

    Exit code 1 if there is an error.
    """
    found = commands.show_design(system, model)
    return Output(found, _text(found), code=1 if any(one.severity == "error" for one in found.problems) else 0)


@printed
def new(
    system: System,
    model: ModelName = None,
    purpose: Purpose = None,
    owner: Owner = None,
    approver: Approvers = None,
    contact: Contact = None,
    yes: Yes = False,
) -> Output:
    """Write a design record for a model that has none.

    What the code states is filled in: metric, sources, limits of gates. On a terminal, it asks for the rest; what is
    not given is marked as to be filled in.
    """
    given = {
        "purpose": [purpose or ""],
        "owner": [owner or ""],
        "approvers": approver or [],
        "contact": [contact or ""],
    }
    answers = ask_for({name: given.get(name, []) for name in ASKED}, quiet=yes)
    path = commands.new_design(system, model, answers)
    return done({"file": str(path)}, f"Wrote {path}. Replace what begins with TO FILL; then: everfit check")


@printed
def history(system: System, model: ModelName = None, most: Annotated[int, _MOST] = 50) -> Output:
    """Show the changes of a design record, field by field.

    The newest change is the first; prose does not count.
    """
    found = design_history(system, model, most=most)
    return Output(found, _changes(found))


@printed
def fallback(system: System, model: ModelName = None) -> Output:
    """Test the fallback of a design record in its own service.

    A constant prediction is made a version, so that 'everfit promote' can engage it. Exit code 1 if the fallback does
    not predict.
    """
    found = check_fallback(system, model, actor=actor())
    mark = (OK if found.passed else FAILED) if found.tested else CAUTION
    made = f"Registered version {found.version}, which predicts the constant. " if found.made else ""
    return Output(found, [(mark, f"{found.model}: {made}{found.sentence}")], code=0 if found.passed else 1)


def _changes(found: DesignHistory) -> Iterator[Item]:
    for change in found.changes:
        if change.at is None:
            yield bold("not committed") if found.in_git else bold(f"{found.file}")
        else:
            yield bold(minute(change.at)), change.commit[:7], f"{change.author}:", change.subject
        if all(field.before is None for field in change.fields):
            yield " ", f"written, with {len(change.fields)} values"
            continue
        for field in change.fields:
            before, after = ("–" if value is None else value for value in (field.before, field.after))
            yield " ", f"{field.field}:", before, "→", after
    if not found.in_git:
        yield CAUTION, "The project is in no git repository with a commit, so that earlier values are not known."
    elif not found.changes:
        yield "No design record was ever written."


def _text(found: DesignStatus) -> Iterator[Item]:
    if found.record is not None:
        yield Table(("field", "value"), flatten(found.record))
        yield f"Gates by this record: {', '.join(found.gates) or 'none'}."
    yield from problem_lines(found.problems)
    errors = sum(problem.severity == "error" for problem in found.problems)
    mark = FAILED if errors else CAUTION if found.problems else OK
    yield mark, f"{found.file}: {errors} errors, {len(found.problems) - errors} warnings, without a look at the data."
