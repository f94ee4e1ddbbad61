"""``everfit models``, ``promote`` and ``rollback``: the registry."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import BY_HAND, ModelName, ProjectFolder, Reason, Version
from everfit.cli.output import Output, done, listing, minute
from everfit.cli.printing import printed
from everfit.cli.release_process import open_in_release
from everfit.commands import rollouts as command
from everfit.core.errors import MisuseError
from everfit.core.progress import Progress
from everfit.system import System
from everfit.wiring import actor

_CANARY = "Use it for this share of the ids, such as 0.1; the champion gets the rest."
_SHADOW = "Send it a copy of each request; its predictions are only recorded."
_HISTORY = "Show which version was the champion when, and why."


@printed
def models(
    system: System, model: ModelName = None, history: Annotated[bool, typer.Option("--history", help=_HISTORY)] = False
) -> Output:
    """List the registered versions, or the history of their aliases."""
    names = system.project.model_names(model)
    if history:
        changes = [change for name in names for change in system.registry.history(name)]
        rows = (
            (f"{one.changed_at:%Y-%m-%d %H:%M:%S}", one.model, one.alias, one.version or "–", one.actor, one.reason)
            for one in changes
        )
        return listing(changes, ("when (UTC)", "model", "alias", "version", "by", "reason"), rows)
    versions = [version for name in names for version in system.registry.versions(name)]
    columns = ("model", "version", "aliases", "registered (UTC)", "digest", "score", "runtime")
    cells = (
        (
            version.model,
            version.version,
            ", ".join(version.aliases),
            minute(version.created_at),
            version.digest[7:19],
            version.tags.get("everfit.score", ""),
            version.tags.get("everfit.form", ""),
        )
        for version in versions
    )
    return listing(versions, columns, cells)


@printed
def promote(
    progress: Progress,
    model: ModelName = None,
    version: Version = "challenger",
    canary: Annotated[float | None, typer.Option("--canary", help=_CANARY)] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help=_SHADOW)] = False,
    reason: Reason = BY_HAND,
    project: ProjectFolder = None,
) -> Output:
    """Make a version the champion, or run it as canary or shadow.

    The champion's predictions are those that the service returns. A canary or shadow ends with the next promotion:
    'everfit promote MODEL champion' leaves the champion alone.
    """
    _require_one_way(canary, shadow=shadow)
    system = open_in_release(project)
    name = system.project.model(model).name
    chosen = command.promote(
        system, name, version, canary=canary, shadow=shadow, actor=actor(), reason=reason, progress=progress
    )
    part = "the champion"
    if canary is not None:
        part = f"the canary for {canary:.1%} of the ids"
    elif shadow:
        part = "the shadow: it gets a copy of each request, and its predictions are only recorded"
    return done(chosen, f"{name} version {chosen.version} is {part}.")


def _require_one_way(canary: float | None, *, shadow: bool) -> None:
    if canary is not None and shadow:
        raise MisuseError("--canary and --shadow exclude each other", remedy="Give one of them.")
    if canary is not None and not 0 < canary <= 1:
        raise MisuseError("--canary must be a share above 0 and up to 1", value=canary, remedy="Write 0.1 for 10 %.")


@printed
def rollback(system: System, progress: Progress, model: ModelName = None, reason: Reason = BY_HAND) -> Output:
    """End the current rollout, or restore the previous champion."""
    name = system.project.model(model).name
    chosen = command.roll_back(system, name, actor=actor(), reason=reason, progress=progress)
    return done(chosen, f"{name} version {chosen.version} is the champion again.")
