"""``everfit models``, ``promote`` and ``rollback``: the registry."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder, Reason, Version
from everfit.cli.output import minute, print_done, print_records
from everfit.commands import promote as command
from everfit.core.errors import MisuseError
from everfit.wiring import actor, open_system


def models(
    model: ModelName = None,
    history: Annotated[
        bool, typer.Option("--history", help="Show which version was the champion when, and why.")
    ] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """List the registered versions, or the history of their aliases."""
    system = open_system(project)
    names = system.project.model_names(model)
    if history:
        changes = [change for name in names for change in system.registry.history(name)]
        print_records(
            changes,
            ("when (UTC)", "model", "alias", "version", "by", "reason"),
            (
                (f"{one.changed_at:%Y-%m-%d %H:%M:%S}", one.model, one.alias, one.version or "–", one.actor, one.reason)
                for one in changes
            ),
            as_json=as_json,
        )
        return
    versions = [version for name in names for version in system.registry.versions(name)]
    rows = (
        (
            one.model,
            one.version,
            ", ".join(one.aliases),
            minute(one.created_at),
            one.digest[7:19],
            one.tags.get("everfit.score", ""),
            one.tags.get("everfit.form", ""),
        )
        for one in versions
    )
    columns = ("model", "version", "aliases", "registered (UTC)", "digest", "score", "runtime")
    print_records(versions, columns, rows, as_json=as_json)


def promote(
    model: ModelName = None,
    version: Version = "challenger",
    canary: Annotated[
        float | None,
        typer.Option("--canary", help="Use it for this share of the ids, such as 0.1; the champion gets the rest."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Send it a copy of each request; its predictions are only recorded.")
    ] = False,
    reason: Reason = "started by hand",
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion, or run it as canary or shadow.

    The champion's predictions are those that the service returns. A canary or shadow ends with the next promotion:
    'everfit promote MODEL champion' leaves the champion alone.
    """
    _require_one_way(canary, shadow=shadow)
    system = open_system(project)
    name = system.project.model(model).name
    chosen = command.promote(system, name, version, canary=canary, shadow=shadow, actor=actor(), reason=reason)
    part = "the champion"
    if canary is not None:
        part = f"the canary for {canary:.1%} of the ids"
    elif shadow:
        part = "the shadow: it gets a copy of each request, and its predictions are only recorded"
    print_done(chosen, f"{name} version {chosen.version} is {part}.", as_json=as_json)


def _require_one_way(canary: float | None, *, shadow: bool) -> None:
    if canary is not None and shadow:
        raise MisuseError("--canary and --shadow exclude each other", remedy="Give one of them.")
    if canary is not None and not 0 < canary <= 1:
        raise MisuseError("--canary must be a share above 0 and up to 1", value=canary, remedy="Write 0.1 for 10 %.")


def rollback(
    model: ModelName = None,
    reason: Reason = "started by hand",
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """End the current rollout, or restore the previous champion."""
    system = open_system(project)
    name = system.project.model(model).name
    chosen = command.roll_back(system, name, actor=actor(), reason=reason)
    print_done(chosen, f"{name} version {chosen.version} is the champion again.", as_json=as_json)
