"""``everfit release``: a commit of the source repository is tested, built and made the active code."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from everfit.cli.options import BY_HAND, AsJson, ProjectFolder, Reason
from everfit.cli.output import CAUTION, FAILED, OK, Styled, Terminal, bold, print_json, spoken
from everfit.commands import releases as command
from everfit.commands.releases import StepLog
from everfit.core.errors import MisuseError
from everfit.core.release import UNFINISHED, Release, StepRecord
from everfit.system import System
from everfit.wiring import actor, open_dry_run, open_leadership, open_without_definitions

_ACCEPTED = ("active", "unchanged", "passed")
_MARKS = {"passed": OK, "refused": FAILED, "failed": FAILED, "skipped": Styled("–", "dim")}
_AGAIN = "Try a commit again that was refused, failed or was taken back."
_DRY_RUN = "Carry out all steps for a commit of this folder's repository, by default HEAD, but do not activate it."
_LOG_LINES = 40
"""Lines of a log's end that are shown; ``--json`` gives more, the file all."""
_WAIT = "Print the steps as they end, and wait for the result."


def release(
    ref: Annotated[
        str,
        typer.Argument(help="A branch, a tag or a commit id.", metavar="[REF]", show_default="[releases] branch"),
    ] = "",
    again: Annotated[bool, typer.Option("--again", help=_AGAIN)] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help=_WAIT)] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_DRY_RUN)] = False,
    reason: Reason = BY_HAND,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Release a commit: test it, build it, make it the active code.

    The controller of 'everfit up' carries it out, at every level of automation; where none runs, this command does.
    Exit code 0 if the commit is active in the end, or changes nothing; 1 if it was refused.

    A dry run needs no controller, and leaves nothing: exit code 0 if every step passes, as in CI.
    """
    # What is logged where no controller does it is printed below.
    logging.getLogger("everfit").addHandler(logging.NullHandler())
    if dry_run:
        _require_plain(again=again, wait=wait)
        raise typer.Exit(_dry_run(ref, project, as_json=as_json))
    system = open_without_definitions(project)
    asked = command.ask_release(system, ref, actor=actor(), reason=reason, again=again)
    if asked.state in UNFINISHED and wait:
        command.carry_out_here(system, asked.number, open_leadership(system))
    code = report(system, asked, wait_s=None if wait else 0.0, quiet=as_json)
    if as_json:
        print_json(system.releases.one(asked.number))
    raise typer.Exit(code if wait else 0)


def _require_plain(*, again: bool, wait: bool) -> None:
    if again or not wait:
        raise MisuseError("a dry run always begins again, and is waited for")


def _dry_run(ref: str, project: Path | None, *, as_json: bool) -> int:
    """Carry out a dry run and print it, with the end of the log of a step that does not pass; return the exit code."""
    with open_dry_run(project) as system, command.dry_run(system, ref, actor=actor()) as asked:
        name = f"commit {asked.commit[:7]}: {asked.subject}"
        code = report(system, asked, name=name, wait_s=None, quiet=as_json)
        details = command.release_details(system, asked.number)
        if as_json:
            # The number is one of the run's own ledger.
            print_json(replace(details, release=replace(details.release, number=0)))
        elif code and details.steps:
            terminal = Terminal()
            terminal.line(bold(f"Log of {details.steps[-1].record.step}"))
            for line in last_lines(details.steps[-1]):
                terminal.line(*line)
    return code


def last_lines(step: StepLog) -> Iterator[tuple[object, ...]]:
    """Yield the parts of the last lines of a step's log."""
    yield from ((" ", Styled(text, "dim")) for text in step.log.splitlines()[-_LOG_LINES:])


def report(system: System, asked: Release, *, wait_s: float | None, quiet: bool, name: str = "") -> int:
    """Print a release's steps as they end, and its result; return the exit code.

    Args:
        wait_s: Longest time to wait for the result; without limit if ``None``.
        quiet: Print nothing.
        name: By default the release's own.
    """
    terminal, name = Terminal(quiet=quiet), name or asked.name
    terminal.line(bold(name))
    with terminal.busy("waits") as show:
        for step in command.follow(system, asked.number, starts=show, longest_s=wait_s):
            terminal.line(*step_line(step))
    found = system.releases.one(asked.number)
    accepted = found.state in _ACCEPTED
    if found.ended:
        terminal.line(OK if accepted else FAILED, bold(name), _state(found))
    else:
        terminal.line(f"It goes on: everfit releases follow {found.number}")
    return 0 if accepted else 1


def step_line(step: StepRecord) -> tuple[object, ...]:
    """Return the parts of a line on one attempt at a step."""
    # The clock of a replay stands still meanwhile.
    took_s = (step.ended_at - step.started_at).total_seconds() if step.ended_at else 0.0
    took = f" ({took_s:.1f} s)" if took_s else ""
    mark = _MARKS[step.outcome] if step.outcome else CAUTION
    return " ", mark, bold(step.step), "", f"{step.sentence or 'interrupted'}{took}"


def _state(release: Release) -> str:
    return f"{spoken(release.state)}{f': {release.sentence}' if release.sentence else '.'}"
