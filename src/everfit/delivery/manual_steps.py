"""What persons may do to a rollout. Pure; whoever carries it out writes a line to the audit."""

from __future__ import annotations

from everfit.core.errors import MisuseError
from everfit.core.rollout import Rollout, Step
from everfit.definitions.rollout import RolloutPlan
from everfit.delivery.state_machine import enter, step, take_back
from everfit.delivery.state_machine import promote as to_champion


def approve(rollout: Rollout, plan: RolloutPlan, *, actor: str, reason: str) -> Step:
    """Let a version that waits be tried.

    Raises:
        MisuseError: If it does not wait.
    """
    _require(rollout, rollout.state == "waiting_approval", "only a rollout that waits for approval can be approved")
    return enter(rollout, plan, 0, "approve", _said(actor, "approved it", reason), actor)


def pause(rollout: Rollout, *, actor: str, reason: str) -> Step:
    """Halt a rollout: who answers stays as it is, until it is resumed or something speaks against the newcomer.

    Raises:
        MisuseError: If it has ended or is paused.
    """
    _require(rollout, not rollout.ended and rollout.state != "paused", "only a rollout that goes on can be paused")
    return step(rollout, "pause", "paused", actor=actor, sentence=_said(actor, "paused it", reason))


def resume(rollout: Rollout, *, actor: str, reason: str) -> Step:
    """Let a paused rollout go on; the stage that it was in begins anew.

    Raises:
        MisuseError: If it is not paused.
    """
    _require(rollout, rollout.state == "paused", "only a paused rollout can be resumed")
    return step(rollout, "resume", rollout.effective, actor=actor, sentence=_said(actor, "resumed it", reason))


def promote(rollout: Rollout, *, actor: str, reason: str) -> Step:
    """Let a version take the champion's place now, whatever stages are left; it is watched then.

    Raises:
        MisuseError: If it is the champion, or the rollout has ended.
    """
    allowed = not rollout.ended and rollout.effective != "watching"
    _require(rollout, allowed, "only a version that is being tried can be promoted")
    return to_champion(rollout, _said(actor, "promoted it at once", reason), actor=actor)


def roll_back(rollout: Rollout, *, actor: str, reason: str) -> Step:
    """Take a version back: the champion of before answers alone.

    Raises:
        MisuseError: If the rollout has ended.
    """
    _require(rollout, not rollout.ended, "only a rollout that goes on can be taken back")
    return take_back(rollout, _said(actor, "took it back", reason), actor=actor)


def supersede(rollout: Rollout, version: int, *, actor: str) -> Step:
    """End a rollout since a newer version is rolled out instead."""
    return step(
        rollout, "supersede", "superseded", actor=actor, sentence=f"Version {version} is rolled out in its place."
    )


def _said(actor: str, what: str, reason: str) -> str:
    return f"{actor} {what}: {reason.rstrip('.')}."


def _require(rollout: Rollout, allowed: bool, rule: str) -> None:
    if not allowed:
        raise MisuseError(rule, value=rollout.state, place=f"{rollout.model}, rollout {rollout.number}")
