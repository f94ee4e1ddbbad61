"""What a person may do to the loop, whatever level it is on. Every deed is in the audit, with who and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from everfit.core.errors import MisuseError
from everfit.core.order import OrderRecord
from everfit.core.records import ModelVersion
from everfit.core.rollout import Rollout
from everfit.delivery import manual_steps
from everfit.delivery.audit import AuditLine
from everfit.loop import deploying
from everfit.loop.rollout_executor import begin_rollout, move
from everfit.triggers.decide import by_hand

if TYPE_CHECKING:
    from everfit.system import System


def give_order(system: System, model: str | None, *, actor: str, reason: str, ticket: str = "") -> OrderRecord:
    """Order a training; the controller carries it out.

    Args:
        system: The parts.
        model: Its name; may be left out where there is only one.
        actor: Who asks.
        reason: Why.
        ticket: Orders with the same one are one order; by default this is an order of its own.
    """
    name, now = system.project.model(model).name, system.clock.now()
    order = by_hand(name, reason=reason, actor=actor, ticket=ticket or uuid4().hex, now=now)
    record = system.orders.ask(order)
    _record(system, name, None, "order", actor, reason)
    return record


def cancel_order(system: System, number: int, *, actor: str, reason: str) -> OrderRecord:
    """Stop an order that has not ended; a training that runs is ended with it.

    Raises:
        StoreError: If there is no such order.
        MisuseError: If it has ended, or its version is on its way already.
    """
    orders = system.orders
    sentence = f"{actor} cancelled it: {reason}"
    before = next((each for each in orders.open() if each.number == number), None)
    if before is not None and before.state == "delivering":
        raise MisuseError(
            "an order whose version is being rolled out is past cancelling", value=number,
            remedy="Take the version back instead: everfit rollback.",
        )  # fmt: skip
    record = orders.finish(number, state="cancelled", sentence=sentence, now=system.clock.now())
    if record.sentence != sentence:
        raise MisuseError("only an order that has not ended can be cancelled", value=record.state)
    _record(system, record.order.model, None, "cancel", actor, reason)
    return record


def steer(
    system: System, model: str | None, deed: Literal["approve", "pause", "resume"], *, actor: str, reason: str
) -> Rollout:
    """Approve, halt or resume a model's rollout.

    Raises:
        MisuseError: If nothing is being rolled out, or it is not in a state for that.
    """
    definition = system.project.model(model)
    rollout = system.rollouts.running(definition.name)
    if rollout is None:
        raise MisuseError(f"there must be a rollout to {deed}", value=definition.name)
    if deed == "approve":
        step = manual_steps.approve(rollout, definition.rollout_plan, actor=actor, reason=reason)
    else:
        step = getattr(manual_steps, deed)(rollout, actor=actor, reason=reason)
    return move(system, rollout.number, step, now=system.clock.now())


def roll_out(system: System, model: str | None, which: int | str, *, actor: str, reason: str) -> Rollout | None:
    """Begin to roll a registered version out, in the model's stages.

    Raises:
        UnknownVersionError: If there is no such version.
    """
    name = system.project.model(model).name
    version = system.registry.version(name, which)
    return begin_rollout(system, version, cause=reason, now=system.clock.now(), actor=actor)


def promote(
    system: System,
    model: str,
    which: int | str,
    *,
    canary: float | None = None,
    shadow: bool = False,
    actor: str,
    reason: str,
) -> ModelVersion:
    """Let a version answer, as :func:`everfit.loop.deploying.promote` does; a rollout that runs gives way.

    The version that is being rolled out itself goes on to be watched, like any other that became the champion.
    """
    chosen = system.registry.version(model, which)
    running = system.rollouts.running(model)
    if running is not None:
        now = system.clock.now()
        alone = canary is None and not shadow
        if alone and running.version == chosen.version and running.effective != "watching":
            move(system, running.number, manual_steps.promote(running, actor=actor, reason=reason), now=now)
            return system.registry.version(model, chosen.version)
        move(system, running.number, manual_steps.supersede(running, chosen.version, actor=actor), now=now)
    promoted = deploying.promote(system, model, which, canary=canary, shadow=shadow, actor=actor, reason=reason)
    deed = "shadow" if shadow else "promote" if canary is None else f"canary {canary:g}"
    _record(system, model, promoted.version, deed, actor, reason)
    return promoted


def roll_back(system: System, model: str, *, actor: str, reason: str) -> ModelVersion:
    """Take back what is being rolled out or watched; where nothing is, the previous champion answers again."""
    running = system.rollouts.running(model)
    if running is not None:
        step = manual_steps.roll_back(running, actor=actor, reason=reason)
        move(system, running.number, step, now=system.clock.now())
        return system.registry.version(model, running.previous)
    chosen = deploying.roll_back(system, model, actor=actor, reason=reason)
    _record(system, model, chosen.version, "roll_back", actor, reason)
    return chosen


def _record(system: System, model: str, version: int | None, deed: str, actor: str, reason: str) -> None:
    line = AuditLine(at=system.clock.now(), actor=actor, action=deed, model=model, version=version, reason=reason)
    system.audit.append(line)
