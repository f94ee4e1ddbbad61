"""Manual control of rollouts: begin, approve, pause, resume."""

from __future__ import annotations

from typing import Literal

from everfit.core.errors import MisuseError
from everfit.core.rollout import Rollout
from everfit.delivery import manual_steps
from everfit.loop.rollout_executor import begin_rollout, execute_transition
from everfit.system import System


def roll_out(system: System, model: str | None, which: int | str, *, actor: str, reason: str) -> Rollout | None:
    """Begin to roll a registered version out, in the model's stages."""
    version = system.registry.version(system.project.model(model).name, which)
    return begin_rollout(system, version, cause=reason, now=system.clock.now(), actor=actor)


def change_rollout(
    system: System, model: str | None, action: Literal["approve", "pause", "resume"], *, actor: str, reason: str
) -> Rollout:
    """Approve, pause or resume a model's rollout. Raises :class:`MisuseError` if none is in a state for that."""
    definition = system.project.model(model)
    rollout = system.rollouts.running(definition.name)
    if rollout is None:
        raise MisuseError(f"there must be a rollout to {action}", value=definition.name)
    if action == "approve":
        transition = manual_steps.approve(rollout, definition.rollout_plan, actor=actor, reason=reason)
    elif action == "pause":
        transition = manual_steps.pause(rollout, actor=actor, reason=reason)
    else:
        transition = manual_steps.resume(rollout, actor=actor, reason=reason)
    return execute_transition(system, rollout.number, transition, now=system.clock.now())
