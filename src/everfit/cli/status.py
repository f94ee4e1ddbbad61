"""``everfit status`` and ``everfit level``: where everything stands, and how much of it goes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import Styled, Terminal, bold, print_json, print_line, print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everfit.loop.status import ModelStatus, Status

    Line = tuple[object, ...]

_EVERY_S = 1.0
_COLOURS = {"critical": "red", "warning": "yellow"}


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second, until stopped.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show who answers, what is being trained and rolled out, and what is wrong."""
    import time

    from everfit.loop.status import status as read
    from everfit.wiring import open_system

    system = open_system(project)
    if as_json:
        print_json(read(system))
        return
    if not watch:
        for line in _lines(read(system)):
            print_line(*line)
        return
    with Terminal().redrawn() as draw:
        while True:
            draw(_lines(read(system)))
            time.sleep(_EVERY_S)


def level(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """Name the level of automation that the project is on, and what is missing for the next."""
    from everfit.loop.automation_level import level as read
    from everfit.wiring import load_project

    found = read(load_project(project))
    if as_json:
        print_json(found)
        return
    print_line(bold(found.project), "is on level", Styled(f"{found.level}.", "bold"))
    rows = [(each.level, "✓" if each.present else "–", each.name, each.sentence) for each in found.capabilities]
    print_rows("", ("level", "", "capability", "how, or what is missing"), rows)


def _lines(found: Status) -> Iterator[Line]:
    lead = f"controller {found.controller} leads" if found.controller else "no controller: start it with 'everfit up'"
    alive = sum(each.alive for each in found.workers)
    until = f", looked at {found.watched_until:%Y-%m-%d %H:%M:%S} UTC" if found.watched_until else ""
    yield bold(found.project), "", f"level {found.level}, {lead}{until}, {alive} of {len(found.workers)} workers"
    for model in found.models:
        yield from _lines_of(model)


def _lines_of(model: ModelStatus) -> Iterator[Line]:
    answers = f"version {model.champion} answers" if model.champion else "nobody answers"
    if model.canary:
        answers += f", version {model.canary} for {model.canary_share:.0%} of the ids"
    if model.shadow:
        answers += f", version {model.shadow} in shadow"
    yield bold(model.model), "", answers
    if model.rollout is not None:
        last = model.rollout.history[-1]
        state = model.rollout.state.replace("_", " ")
        yield " ", Styled(f"rollout {model.rollout.number}", "cyan"), "", f"{state}: {last.sentence}"
    if model.order is not None:
        order = model.order
        came = order.sentence or order.order.reason
        yield " ", Styled(f"order {order.number}", "cyan"), "", f"{order.state.replace('_', ' ')}: {came}"
    if model.policy:
        yield " ", Styled("policy", "cyan"), "", model.policy
    for incident in model.incidents:
        colour = _COLOURS.get(incident.finding.severity, "blue")
        yield " ", Styled(f"incident {incident.number}", colour), "", incident.finding.sentence
