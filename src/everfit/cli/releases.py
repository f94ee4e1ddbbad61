"""``everfit releases``: the releases of the project's code, with their steps; and the way back to the folder's code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from everfit.cli.options import BY_HAND, AsJson, ProjectFolder, Reason
from everfit.cli.output import (
    Item,
    Output,
    bold,
    done,
    facts,
    listing,
    minute,
    print_json,
    second,
    spoken,
)
from everfit.cli.printing import printed
from everfit.cli.release import last_lines, report, step_line
from everfit.commands import releases as command
from everfit.commands.releases import ReleaseDetails
from everfit.core.release import Release
from everfit.wiring import actor, open_without_definitions

_COLLECTED = "nothing needs its code and environment; they are made again for a version that does"
_Number = Annotated[int, typer.Argument(help="The release's number, as 'everfit releases list' shows it.")]


@printed
def list_releases(project: ProjectFolder = None) -> Output:
    """List the releases of the project's code, oldest first."""
    found = open_without_definitions(project).releases.all()
    columns = ("release", "asked (UTC)", "commit", "state", "by", "subject", "result")
    rows = (
        (one.number, minute(one.asked_at), one.commit[:7], _state(one), one.actor, one.subject, one.sentence)
        for one in found
    )
    return listing(found, columns, rows)


@printed
def show(number: _Number, project: ProjectFolder = None) -> Output:
    """Show one release: commit, state, every attempt at its steps."""
    details = command.release_details(open_without_definitions(project), number)
    return Output(details, _text(details))


def _state(release: Release) -> str:
    return spoken(release.state) + (", collected" if release.collected_at else "")


def _text(details: ReleaseDetails) -> Iterator[Item]:
    yield from facts(_facts(details.release))
    for step in details.release.steps:
        yield step_line(step)
    if details.steps and details.steps[-1].log_file is not None:
        yield bold("Log"), "", details.steps[-1].log_file
        yield from last_lines(details.steps[-1])


def _facts(release: Release) -> Iterator[tuple[str, object]]:
    yield "release", f"{release.number}, {release.subject}"
    yield "commit", f"{release.commit} ({release.ref}), by {release.author}"
    yield "state", _state(release)
    yield "asked", f"{second(release.asked_at)} by {release.actor}"
    yield "reason", release.reason
    yield "collected", release.collected_at and f"{second(release.collected_at)}: {_COLLECTED}"
    yield "active", release.activated_at and f"since {second(release.activated_at)}"
    yield "code", release.code
    yield "tree", release.tree
    yield "environment", release.environment
    for change in release.features:
        yield "feature", f"{change.feature}: {change.sentence}"
    yield "result", release.sentence or "none yet"


def follow(
    commit: Annotated[str, typer.Argument(help="The full commit id, or the release's number.")],
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Longest time to wait.", show_default=False)
    ] = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Print the steps of a release as they end, and its result.

    A commit that was just pushed is waited for, as a hook of the repository does. Exit code as of 'everfit release'.
    """
    system = open_without_definitions(project)
    found = command.find_release(system, commit)
    code = report(system, found, wait_s=seconds, quiet=as_json)
    if as_json:
        print_json(system.releases.one(found.number))
    raise typer.Exit(code)


@printed
def cancel(number: _Number, reason: Reason = BY_HAND, project: ProjectFolder = None) -> Output:
    """Cancel a release that has not ended."""
    system = open_without_definitions(project)
    cancelled = command.cancel_release(system, number, actor=actor(), reason=reason)
    return done(cancelled, f"{cancelled.name} is cancelled.")


@printed
def leave(reason: Reason = BY_HAND, project: ProjectFolder = None) -> Output:
    """Return to the code of the project's own folder.

    Safe at any time. The controller of 'everfit up' ends what is under way, and goes on with the folder's code.
    """
    left = command.leave_releases(open_without_definitions(project), actor=actor(), reason=reason)
    return done(left, f"{left.name} is left: the code of this folder is what runs.")
