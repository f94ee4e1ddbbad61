"""A version that passed its gates on its way to the callers: the rollout's moves are carried out here, each once.

A move is written to the ledger first, then the registry's alias follows, then the deployment record; after a crash the
same three are done again, and what was done already stays as it is.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from everfit.core.rollout import Rollout, Transition
from everfit.delivery.audit import AuditLine
from everfit.delivery.state_machine import POLICY
from everfit.delivery.traffic import deployment_for
from everfit.loop.deploying import deployed_of, promote

if TYPE_CHECKING:
    from everfit.core.records import ModelVersion
    from everfit.system import System


def begin_rollout(
    system: System, version: ModelVersion, *, cause: str, now: datetime, order: int | None = None, actor: str = POLICY
) -> Rollout | None:
    """Begin to roll a version out; where nobody answers yet, it answers at once.

    Args:
        system: The parts.
        version: The newcomer; it passed its gates.
        cause: Why, as a sentence.
        now: The present instant.
        order: The order that it came from.
        actor: Who asked for it.

    Returns:
        The rollout; ``None`` if there was no champion beside whom it could be tried.
    """
    present = system.deployment.of(version.model)
    definition = system.project.model(version.model)
    if present is None or present.champion.version == version.version:
        promote(system, version.model, version.version, actor=actor, reason=cause)
        sentence = f"Version {version.version} answers: there was none to be compared with."
        _record(system, version.model, version.version, "promote", actor, sentence, now)
        if order is not None:
            system.orders.finish(order, state="shipped", sentence=sentence, now=now)
        return None
    rollout = system.rollouts.begin(
        version.model, version.version, previous=present.champion.version, plan=definition.rollout_plan, cause=cause,
        now=now, order=order, actor=actor,
    )  # fmt: skip
    follow(system, rollout)
    _end_superseded(system, version.model, now)
    _record(system, version.model, version.version, "begin", actor, cause, rollout.began_at)
    return rollout


def move(system: System, number: int, step: Transition, *, now: datetime) -> Rollout:
    """Carry out a step of a rollout, and all that follows from it."""
    rollout = system.rollouts.apply(number, step, now=now)
    follow(system, rollout)
    line = rollout.history[step.place] if len(rollout.history) > step.place else None
    if line is not None and (line.action, line.actor) == (step.action, step.actor):
        _record(system, rollout.model, rollout.version, step.action, step.actor, step.sentence, line.at)
    _end_order(system, rollout, now)
    return rollout


def follow(system: System, rollout: Rollout) -> None:
    """Let alias and deployment record be what the rollout says; nothing changes if they are.

    A step that was interrupted, or a person's, may be carried out beside a later one. Whoever writes last looks again,
    so that the rollout's last state is what stays.
    """
    while True:
        _follow(system, rollout)
        present = system.rollouts.one(rollout.number)
        if len(present.history) == len(rollout.history):
            return
        rollout = present


def _follow(system: System, rollout: Rollout) -> None:
    registry = system.registry
    reason = rollout.history[-1].sentence if rollout.history else rollout.cause
    actor = rollout.history[-1].actor if rollout.history else POLICY
    chosen = {"watching": rollout.version, "rolled_back": rollout.previous}.get(rollout.state)
    champion = registry.champion(rollout.model)
    # Where somebody made a third version the champion in the meantime, that stays.
    if chosen is not None and champion is not None and champion.version in {rollout.version, rollout.previous}:
        registry.promote(rollout.model, chosen, actor=actor, reason=reason)
    packages = {
        number: deployed_of(system, registry.version(rollout.model, number))
        for number in (rollout.version, rollout.previous)
    }
    system.deployment.change(
        rollout.model, lambda present: deployment_for(present, rollout, packages), changed_at=system.clock.now()
    )


def _end_order(system: System, rollout: Rollout, now: datetime) -> None:
    if rollout.order is None:
        return
    orders, sentence = system.orders, rollout.history[-1].sentence
    if rollout.state in {"watching", "kept"}:
        orders.finish(rollout.order, state="shipped", sentence=sentence, now=now)
    elif rollout.state in {"refused", "rolled_back"}:
        orders.finish(rollout.order, state="taken_back", sentence=sentence, now=now)
    elif rollout.state == "superseded":
        orders.finish(rollout.order, state="cancelled", sentence=sentence, now=now)


def _end_superseded(system: System, model: str, now: datetime) -> None:
    """What had to make way is on record, and its order is not waited for any longer; done again, nothing changes."""
    for rollout in system.rollouts.of(model):
        if rollout.state == "superseded":
            line = rollout.history[-1]
            _record(system, model, rollout.version, line.action, line.actor, line.sentence, line.at)
            _end_order(system, rollout, now)


def _record(system: System, model: str, version: int, action: str, actor: str, reason: str, at: datetime) -> None:
    line = AuditLine(at=at, actor=actor, action=action, model=model, version=version, reason=reason)
    system.audit.append(line)


def read_transition(plain: object) -> Transition:
    """A step as a workflow's argument holds it."""
    return msgspec.convert(plain, Transition)
