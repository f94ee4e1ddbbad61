"""``everfit models``, ``promote`` and ``rollback``: the registry."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder, Reason


def models(
    model: ModelName = None,
    history: Annotated[bool, typer.Option("--history", help="Show who was champion when, and why.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """List the registered versions, or the history of their aliases."""
    from everfit.cli.output import print_json, print_rows
    from everfit.wiring import open_system

    system = open_system(project)
    names = [system.project.model(model).name] if model else list(system.project.models)
    if history:
        changes = [change for name in names for change in system.registry.history(name)]
        if as_json:
            print_json(changes)
            return
        rows = [
            (
                f"{each.changed_at:%Y-%m-%d %H:%M:%S}",
                each.model,
                each.alias,
                each.version or "–",
                each.actor,
                each.reason,
            )
            for each in changes
        ]
        print_rows("", ("when (UTC)", "model", "alias", "version", "who", "why"), rows)
        return
    versions = [version for name in names for version in system.registry.versions(name)]
    if as_json:
        print_json(versions)
        return
    table = [
        (each.model, each.version, ", ".join(each.aliases), f"{each.created_at:%Y-%m-%d %H:%M}", each.digest[7:19],
         each.tags.get("everfit.score", ""), each.tags.get("everfit.form", ""))
        for each in versions
    ]  # fmt: skip
    print_rows("", ("model", "version", "aliases", "made (UTC)", "digest", "score", "form"), table)


def promote(
    model: ModelName = None,
    version: Annotated[str, typer.Argument(help="A version's number or alias.")] = "challenger",
    canary: Annotated[
        float | None,
        typer.Option("--canary", help="Only let it answer this share of the ids, such as 0.1, beside the champion."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Only ask it as well, after the champion has answered, and record it.")
    ] = False,
    reason: Reason = "started by hand",
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion, which is what is served; or try it beside the champion.

    A trial ends with the next promotion: 'everfit promote MODEL champion' lets the champion answer alone.
    """
    from everfit.cli.output import OK, print_json, print_line
    from everfit.commands.promote import promote as run
    from everfit.core.errors import MisuseError
    from everfit.wiring import actor, open_system

    if canary is not None and shadow:
        raise MisuseError("--canary and --shadow exclude each other", remedy="Give one of them.")
    if canary is not None and not 0 < canary <= 1:
        raise MisuseError("--canary must be a share above 0 and up to 1", value=canary, remedy="Say 0.1 for 10 %.")
    system = open_system(project)
    name = system.project.model(model).name
    chosen = run(system, name, version, canary=canary, shadow=shadow, actor=actor(), reason=reason)
    if as_json:
        print_json(chosen)
        return
    part = "the champion"
    if canary is not None:
        part = f"the canary and answers {canary:.1%} of the ids"
    elif shadow:
        part = "the shadow: it is asked as well, and only recorded"
    print_line(OK, f"{name} version {chosen.version} is {part}.")


def rollback(
    model: ModelName = None,
    reason: Reason = "started by hand",
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Take back what is being rolled out; where nothing is, make the previous champion the champion again."""
    from everfit.cli.output import OK, print_json, print_line
    from everfit.commands.promote import roll_back
    from everfit.wiring import actor, open_system

    system = open_system(project)
    name = system.project.model(model).name
    chosen = roll_back(system, name, actor=actor(), reason=reason)
    if as_json:
        print_json(chosen)
    else:
        print_line(OK, f"{name} version {chosen.version} is the champion again.")
