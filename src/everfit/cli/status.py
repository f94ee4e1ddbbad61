"""``everfit status``: the state of a running project."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import Styled, Terminal, bold, print_json, print_line, second, spoken
from everfit.loop import status as loop_status
from everfit.wiring import open_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from everfit.loop.status import ModelStatus, Status

    Line = tuple[object, ...]

_EVERY_S = 1.0
_COLOURS = {"critical": "red", "warning": "yellow"}


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
        for line in _lines(loop_status.status(system)):
            print_line(*line)
        return
    with Terminal().redrawn() as draw:
        while True:
            draw(_lines(loop_status.status(system)))
            time.sleep(_EVERY_S)


def _lines(found: Status) -> Iterator[Line]:
    lead = (
        f"controller {found.controller} leads" if found.controller else "no controller runs: start it with 'everfit up'"
    )
    alive = sum(worker.alive for worker in found.workers)
    until = f", last evaluation {second(found.watched_until)}" if found.watched_until else ""
    yield bold(found.project), "", f"level {found.level}, {lead}{until}, {alive} of {len(found.workers)} workers"
    for model in found.models:
        yield from _lines_of(model)


def _lines_of(model: ModelStatus) -> Iterator[Line]:
    versions = f"champion version {model.champion}" if model.champion else "no champion"
    if model.canary:
        versions += f", canary version {model.canary} for {model.canary_share:.0%} of the ids"
    if model.shadow:
        versions += f", shadow version {model.shadow}"
    yield bold(model.model), "", versions
    if model.rollout is not None:
        last = model.rollout.history[-1]
        yield (
            " ",
            Styled(f"rollout {model.rollout.number}", "cyan"),
            "",
            f"{spoken(model.rollout.state)}: {last.sentence}",
        )
    if model.order is not None:
        order = model.order
        text = order.sentence or order.order.reason
        yield " ", Styled(f"training order {order.number}", "cyan"), "", f"{spoken(order.state)}: {text}"
    if model.policy:
        yield " ", Styled("policy", "cyan"), "", model.policy
    for incident in model.incidents:
        colour = _COLOURS.get(incident.finding.severity, "blue")
        yield " ", Styled(f"incident {incident.number}", colour), "", incident.finding.sentence
