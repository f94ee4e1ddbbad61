"""``everfit rollouts``: the way of versions to the champion; and ``everfit audit``: what was done by whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder, Reason, Version
from everfit.cli.output import minute, print_done, print_records, spoken
from everfit.commands.rollouts import change_rollout, roll_out
from everfit.wiring import actor, open_system


def list_rollouts(model: ModelName = None, project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """List the rollouts with every transition and its reason."""
    system = open_system(project)
    found = [one for name in system.project.model_names(model) for one in system.rollouts.of(name)]
    columns = ("rollout", "model", "version", "when (UTC)", "action", "state", "by", "reason")
    rows = (
        (one.number, one.model, one.version, minute(line.at), line.action, line.state, line.actor, line.sentence)
        for one in found
        for line in one.history
    )
    print_records(found, columns, rows, as_json=as_json)


def begin(
    model: ModelName = None,
    version: Version = "challenger",
    reason: Reason = "started by hand",
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Begin the rollout of a registered version.

    The controller of 'everfit up' moves it through the model's stages. Without a champion, the version becomes the
    champion at once.
    """
    begun = roll_out(open_system(project), model, version, actor=actor(), reason=reason)
    if begun is None:
        print_done(begun, "The version is the champion: there was none to compare it with.", as_json=as_json)
    else:
        print_done(begun, f"Version {begun.version} of {begun.model}: {spoken(begun.state)}.", as_json=as_json)


def approve(
    model: ModelName = None, reason: Reason = "started by hand", project: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """Approve the rollout that waits for approval."""
    _steer("approve", model, reason, project, as_json=as_json)


def pause(
    model: ModelName = None, reason: Reason = "started by hand", project: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """Pause the rollout in its present stage.

    A version that is shown to be worse is rolled back all the same.
    """
    _steer("pause", model, reason, project, as_json=as_json)


def resume(
    model: ModelName = None, reason: Reason = "started by hand", project: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """Resume the paused rollout."""
    _steer("resume", model, reason, project, as_json=as_json)


def audit(
    model: ModelName = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many lines, the newest.")] = 100,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """List what was done to models, by whom and why."""
    system = open_system(project)
    name = system.project.model(model).name if model else None
    lines = system.audit.read(name, limit=limit)
    columns = ("when (UTC)", "by", "action", "model", "version", "reason")
    rows = (
        (f"{line.at:%Y-%m-%d %H:%M:%S}", line.actor, spoken(line.action), line.model, line.version or "–", line.reason)
        for line in lines
    )
    print_records(lines, columns, rows, as_json=as_json)


def _steer(
    action: Literal["approve", "pause", "resume"],
    model: str | None,
    reason: str,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    rollout = change_rollout(open_system(project), model, action, actor=actor(), reason=reason)
    print_done(rollout, f"Version {rollout.version} of {rollout.model}: {spoken(rollout.state)}.", as_json=as_json)
