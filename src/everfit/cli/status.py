"""``everfit status`` and ``everfit level``: where everything stands, and how much of it goes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder

if TYPE_CHECKING:
    from rich.console import RenderableType

    from everfit.cycle.status import ModelStatus, Status

_EVERY_S = 1.0


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second, until stopped.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show who answers, what is being trained and rolled out, and what is wrong."""
    import time

    from everfit.cli.output import console, print_json
    from everfit.cycle.status import status as read
    from everfit.wiring import open_system

    system = open_system(project)
    if as_json:
        print_json(read(system))
        return
    if not watch:
        console().print(_drawn(read(system)))
        return
    from rich.live import Live

    with Live(_drawn(read(system)), console=console(), auto_refresh=False) as live:
        while True:
            time.sleep(_EVERY_S)
            live.update(_drawn(read(system)), refresh=True)


def level(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """Name the level of automation that the project is on, and what is missing for the next."""
    from everfit.cli.output import console, print_json, print_rows
    from everfit.cycle.level import level as read
    from everfit.wiring import load_project

    found = read(load_project(project))
    if as_json:
        print_json(found)
        return
    console().print(f"[bold]{found.project}[/] is on level [bold]{found.level}[/].")
    rows = [(each.level, "✓" if each.present else "–", each.name, each.sentence) for each in found.capabilities]
    print_rows("", ("level", "", "capability", "how, or what is missing"), rows)


def _drawn(found: Status) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    lead = f"controller {found.controller} leads" if found.controller else "no controller: start it with 'everfit up'"
    alive = sum(each.alive for each in found.workers)
    until = f", looked at {found.watched_until:%Y-%m-%d %H:%M:%S} UTC" if found.watched_until else ""
    head = f"[bold]{found.project}[/]  level {found.level}, {lead}{until}, {alive} of {len(found.workers)} workers"
    return Group(Text.from_markup(head), *(Text.from_markup(line) for each in found.models for line in _lines(each)))


def _lines(model: ModelStatus) -> list[str]:
    from rich.markup import escape

    answers = f"version {model.champion} answers" if model.champion else "nobody answers"
    if model.canary:
        answers += f", version {model.canary} for {model.canary_share:.0%} of the ids"
    if model.shadow:
        answers += f", version {model.shadow} in shadow"
    lines = [f"[bold]{model.model}[/]  {answers}"]
    if model.rollout is not None:
        last = model.rollout.history[-1]
        state = model.rollout.state.replace("_", " ")
        lines.append(f"  [cyan]rollout {model.rollout.number}[/]  {state}: {escape(last.sentence)}")
    if model.order is not None:
        order = model.order
        came = order.sentence or order.order.reason
        lines.append(f"  [cyan]order {order.number}[/]  {order.state.replace('_', ' ')}: {escape(came)}")
    if model.policy:
        lines.append(f"  [cyan]policy[/]  {escape(model.policy)}")
    for incident in model.incidents:
        colour = {"critical": "red", "warning": "yellow"}.get(incident.finding.severity, "blue")
        lines.append(f"  [{colour}]incident {incident.number}[/]  {escape(incident.finding.sentence)}")
    return lines
