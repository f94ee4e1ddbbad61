"""``everfit rollouts``: the way of versions to the champion; and ``everfit audit``: what was done by whom."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import BY_HAND, ModelName, Reason, Version
from everfit.cli.output import Output, done, listing, minute, spoken
from everfit.cli.printing import printed
from everfit.commands.rollouts import change_rollout, roll_out
from everfit.core.progress import Progress
from everfit.core.rollout import Rollout
from everfit.system import System
from everfit.wiring import actor


@printed
def list_rollouts(system: System, model: ModelName = None) -> Output:
    """List the rollouts with every transition and its reason."""
    found = [one for name in system.project.model_names(model) for one in system.rollouts.of(name)]
    columns = ("rollout", "model", "version", "when (UTC)", "action", "state", "by", "reason")
    rows = (
        (one.number, one.model, one.version, minute(line.at), line.action, line.state, line.actor, line.sentence)
        for one in found
        for line in one.history
    )
    return listing(found, columns, rows)


@printed
def begin(
    progress: Progress,
    model: ModelName = None,
    version: Version = "challenger",
    reason: Reason = BY_HAND,
    *,
    system: System,
) -> Output:
    """Begin the rollout of a registered version.

    The controller of 'everfit up' moves it through the model's stages. Without a champion, the version becomes the
    champion at once.
    """
    begun = roll_out(system, model, version, actor=actor(), reason=reason, progress=progress)
    if begun is None:
        return done(None, "The version is the champion: there was none to compare it with.")
    return _state_of(begun)


@printed
def approve(system: System, model: ModelName = None, reason: Reason = BY_HAND) -> Output:
    """Approve the rollout that waits for approval."""
    return _state_of(change_rollout(system, model, "approve", actor=actor(), reason=reason))


@printed
def pause(system: System, model: ModelName = None, reason: Reason = BY_HAND) -> Output:
    """Pause the rollout in its present stage.

    A version that is shown to be worse is rolled back all the same.
    """
    return _state_of(change_rollout(system, model, "pause", actor=actor(), reason=reason))


@printed
def resume(system: System, model: ModelName = None, reason: Reason = BY_HAND) -> Output:
    """Resume the paused rollout."""
    return _state_of(change_rollout(system, model, "resume", actor=actor(), reason=reason))


def _state_of(rollout: Rollout) -> Output:
    return done(rollout, f"Version {rollout.version} of {rollout.model}: {spoken(rollout.state)}.")


@printed
def audit(
    system: System,
    model: ModelName = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many lines, the newest.")] = 100,
) -> Output:
    """List what was done to models, by whom and why."""
    lines = system.audit.read(system.project.model(model).name if model else None, limit=limit)
    columns = ("when (UTC)", "by", "action", "model", "version", "reason")
    rows = (
        (f"{line.at:%Y-%m-%d %H:%M:%S}", line.actor, spoken(line.action), line.model, line.version or "–", line.reason)
        for line in lines
    )
    return listing(lines, columns, rows)
