"""``everfit status``: the state of a project."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import Styled, Terminal, bold, print_json, second, spoken
from everfit.cli.release_process import open_in_release
from everfit.loop import status as loop_status
from everfit.loop.status import ModelStatus, Status

_EVERY_S = 1.0
_COLOURS = {"critical": "red", "warning": "yellow"}


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second until stopped.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show versions in use, trainings, rollouts and open incidents."""
    system = open_in_release(project)
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
    if found.starting:
        lead = "a controller is being started"
    elif not found.controller:
        lead = "no controller runs: start it with 'everfit up'"
    alive = sum(worker.alive for worker in found.workers)
    until = f", last evaluation {second(found.watched_until)}" if found.watched_until else ""
    yield bold(found.project), "", f"level {found.level}, {lead}{until}, {alive} of {len(found.workers)} workers"
    code = found.release.name if found.release else "this folder"
    yield " ", Styled("code", "yellow" if found.pinned else "cyan"), "", ", ".join(filter(None, (code, found.pinned)))
    for release in found.releasing:
        steps = (
            f"{release.steps[-1].step} is under way" if release.state == "running" and release.steps else release.state
        )
        yield " ", Styled("release", "cyan"), "", f"{release.name}: {steps}"
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
