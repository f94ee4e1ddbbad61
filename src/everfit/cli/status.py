"""``everfit status`` and ``everfit level``: the state of a project, and its level of automation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import Output, Styled, Table, Terminal, bold, print_json, second, spoken
from everfit.cli.printing import printed
from everfit.loop import automation_level
from everfit.loop import status as loop_status
from everfit.loop.status import ModelStatus, Status
from everfit.wiring import load_project, open_system

_EVERY_S = 1.0
_COLOURS = {"critical": "red", "warning": "yellow"}


@printed
def level(project: ProjectFolder = None) -> Output:
    """Show the level of automation, and what the next one needs."""
    found = automation_level.level(load_project(project))
    rows = [(one.level, "✓" if one.present else "–", one.name, one.sentence) for one in found.capabilities]
    lead = (bold(found.project), "is on level", bold(f"{found.level}."))
    return Output(found, [lead, Table(("level", "", "capability", "how, or what is missing"), rows)])


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second until stopped.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show versions in use, trainings, rollouts and open incidents."""
    system = open_system(project)
    if as_json:
        print_json(loop_status.status(system))
        return
    if not watch:
        Terminal().show(_lines(loop_status.status(system)))
        return
    with Terminal().redrawn() as draw:
        while True:
            draw(_lines(loop_status.status(system)))
            time.sleep(_EVERY_S)


def _lines(found: Status) -> Iterator[tuple[object, ...]]:
    lead = f"controller {found.controller} leads"
    if not found.controller:
        lead = "no controller runs: start it with 'everfit up'"
    alive = sum(worker.alive for worker in found.workers)
    until = f", last evaluation {second(found.watched_until)}" if found.watched_until else ""
    yield bold(found.project), "", f"level {found.level}, {lead}{until}, {alive} of {len(found.workers)} workers"
    for model in found.models:
        yield from _lines_of(model)


def _lines_of(model: ModelStatus) -> Iterator[tuple[object, ...]]:
    versions = f"champion version {model.champion}" if model.champion else "no champion"
    if model.canary:
        versions += f", canary version {model.canary} for {model.canary_share:.0%} of the ids"
    if model.shadow:
        versions += f", shadow version {model.shadow}"
    yield bold(model.model), "", versions
    if (rollout := model.rollout) is not None:
        sentence = f"{spoken(rollout.state)}: {rollout.history[-1].sentence}"
        yield " ", Styled(f"rollout {rollout.number}", "cyan"), "", sentence
    if (order := model.order) is not None:
        sentence = f"{spoken(order.state)}: {order.sentence or order.order.reason}"
        yield " ", Styled(f"training order {order.number}", "cyan"), "", sentence
    if model.policy:
        yield " ", Styled("policy", "cyan"), "", model.policy
    for incident in model.incidents:
        colour = _COLOURS.get(incident.finding.severity, "blue")
        yield " ", Styled(f"incident {incident.number}", colour), "", incident.finding.sentence
