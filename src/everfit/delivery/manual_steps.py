"""Transitions that persons may order. Pure; the caller appends an audit line.

Raises :class:`MisuseError` where the rollout is not in a state for it.
"""

from __future__ import annotations

from everfit.core.errors import MisuseError
from everfit.core.rollout import Rollout, Transition
from everfit.definitions.rollout import RolloutPlan
from everfit.delivery.state_machine import enter, take_back, within_stage


def approve(rollout: Rollout, plan: RolloutPlan, *, actor: str, reason: str) -> Transition:
    """Let a version that waits for approval enter the first stage."""
    _require(rollout, rollout.state == "waiting_approval", "only a rollout that waits for approval can be approved")
    return enter(rollout, plan, 0, "approve", _sentence(actor, "approved it", reason), actor=actor)


def pause(rollout: Rollout, *, actor: str, reason: str) -> Transition:
    """Halt a rollout: the traffic stays as it is until it is resumed or a guardrail is violated."""
    _require(rollout, not rollout.ended and rollout.state != "paused", "only a rollout that goes on can be paused")
    return within_stage(rollout, "pause", "paused", _sentence(actor, "paused it", reason), actor=actor)


def resume(rollout: Rollout, *, actor: str, reason: str) -> Transition:
    """Let a paused rollout go on; its stage begins again."""
    _require(rollout, rollout.state == "paused", "only a paused rollout can be resumed")
    return within_stage(rollout, "resume", rollout.effective, _sentence(actor, "resumed it", reason), actor=actor)


def promote(rollout: Rollout, *, actor: str, reason: str) -> Transition:
    """Make the challenger the champion now, whatever stages are left; it is watched afterwards."""
    allowed = not rollout.ended and rollout.effective != "watching"
    _require(rollout, allowed, "only a version that is being tried can be promoted")
    return within_stage(rollout, "promote", "watching", _sentence(actor, "promoted it at once", reason), actor=actor)


def roll_back(rollout: Rollout, *, actor: str, reason: str) -> Transition:
    """Take a version back: the previous champion receives all traffic."""
    _require(rollout, not rollout.ended, "only a rollout that goes on can be taken back")
    return take_back(rollout, _sentence(actor, "took it back", reason), actor=actor)


def supersede(rollout: Rollout, version: int, *, actor: str) -> Transition:
    """End a rollout because a newer version is rolled out instead."""
    sentence = f"Version {version} is rolled out in its place."
    return within_stage(rollout, "supersede", "superseded", sentence, actor=actor)


def _sentence(actor: str, what: str, reason: str) -> str:
    return f"{actor} {what}: {reason.rstrip('.')}."


def _require(rollout: Rollout, allowed: bool, rule: str) -> None:
    if not allowed:
        raise MisuseError(rule, value=rollout.state, place=f"{rollout.model}, rollout {rollout.number}")
