"""``everfit rollouts``: versions on their way to the callers; and ``everfit audit``: who did what."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from everfit.cli.options import AsJson, ModelName, ProjectFolder, Reason

app = typer.Typer(
    help="Rollouts: see them, begin, approve, pause and resume them.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def show(model: ModelName = None, project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """List the rollouts of a model, or of all, with every move and its reason."""
    from everfit.cli.output import print_json, print_rows
    from everfit.wiring import open_system

    system = open_system(project)
    names = [system.project.model(model).name] if model else list(system.project.models)
    rollouts = system.rollouts
    found = [each for name in names for each in rollouts.of(name)]
    if as_json:
        print_json(found)
        return
    rows = [
        (each.number, each.model, each.version, f"{line.at:%Y-%m-%d %H:%M}", line.action, line.state, line.actor,
         line.sentence)
        for each in found
        for line in each.history
    ]  # fmt: skip
    print_rows("", ("rollout", "model", "version", "when (UTC)", "move", "led to", "who", "why"), rows)


@app.command()
def begin(
    model: ModelName = None,
    version: Annotated[str, typer.Argument(help="A version's number or alias.")] = "challenger",
    reason: Reason = "started by hand",
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Roll a registered version out in the model's stages; the controller of 'everfit up' leads it through them."""
    from everfit.cli.output import OK, print_json, print_line
    from everfit.commands.rollouts import roll_out
    from everfit.wiring import actor, open_system

    begun = roll_out(open_system(project), model, version, actor=actor(), reason=reason)
    if as_json:
        print_json(begun)
    elif begun is None:
        print_line(OK, "It answers: there was no champion to be compared with.")
    else:
        print_line(OK, f"Version {begun.version} of {begun.model}: {begun.state.replace('_', ' ')}.")


@app.command()
def approve(
    model: ModelName = None, reason: Reason = "started by hand", project: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """Let a version that waits for approval be tried."""
    _steer("approve", model, reason, project, as_json=as_json)


@app.command()
def pause(
    model: ModelName = None, reason: Reason = "started by hand", project: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """Halt a rollout where it is; what is shown to be worse is taken back all the same."""
    _steer("pause", model, reason, project, as_json=as_json)


@app.command()
def resume(
    model: ModelName = None, reason: Reason = "started by hand", project: ProjectFolder = None, as_json: AsJson = False
) -> None:
    """Let a paused rollout go on."""
    _steer("resume", model, reason, project, as_json=as_json)


def audit(
    model: ModelName = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only so many lines, the newest.")] = 100,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what to which model, when and why, newest first."""
    from everfit.cli.output import print_json, print_rows
    from everfit.wiring import open_system

    system = open_system(project)
    name = system.project.model(model).name if model else None
    lines = system.audit.read(name, limit=limit)
    if as_json:
        print_json(lines)
        return
    rows = [
        (f"{each.at:%Y-%m-%d %H:%M:%S}", each.actor, each.action.replace("_", " "), each.model, each.version or "–",
         each.reason)
        for each in lines
    ]  # fmt: skip
    print_rows("", ("when (UTC)", "who", "did", "model", "version", "why"), rows)


def _steer(
    deed: Literal["approve", "pause", "resume"],
    model: str | None,
    reason: str,
    project: ProjectFolder,
    *,
    as_json: bool,
) -> None:
    from everfit.cli.output import OK, print_json, print_line
    from everfit.commands.rollouts import change_rollout
    from everfit.wiring import actor, open_system

    rollout = change_rollout(open_system(project), model, deed, actor=actor(), reason=reason)
    if as_json:
        print_json(rollout)
    else:
        print_line(OK, f"Version {rollout.version} of {rollout.model}: {rollout.state.replace('_', ' ')}.")
