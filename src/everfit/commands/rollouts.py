"""Rollouts by hand; and promotion and rollback at once, which end or complete a rollout that is under way."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Literal

from everfit.core.errors import MisuseError
from everfit.core.progress import SILENT, Progress
from everfit.core.records import ModelVersion
from everfit.core.rollout import Rollout
from everfit.delivery import manual_steps
from everfit.loop.release_restoration import prepared, require_release
from everfit.loop.rollout_executor import (
    begin_rollout,
    deploy_alone,
    deploy_beside,
    deploy_champion,
    execute_transition,
)
from everfit.registry.aliases import PREVIOUS
from everfit.system import System


def roll_out(
    system: System, model: str | None, which: int | str, *, actor: str, reason: str, progress: Progress = SILENT
) -> Rollout | None:
    """Begin to roll a registered version out, in the model's stages."""
    version = system.registry.version(system.project.model(model).name, which)
    return begin_rollout(system, version, cause=reason, now=system.clock.now(), actor=actor, progress=progress)


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


def promote(
    system: System,
    model: str,
    which: int | str,
    *,
    canary: float | None = None,
    shadow: bool = False,
    actor: str,
    reason: str,
    progress: Progress = SILENT,
) -> ModelVersion:
    """Deploy a version: as the champion, as a canary for a share of the ids, or in shadow.

    A rollout of another version is superseded. If the version is itself being rolled out, its rollout continues with
    the observation that follows every promotion. A canary receives a share of the ids, above 0 up to 1, the champion
    the rest; a shadow version receives a copy of each request, after the response was sent.
    """
    chosen = system.registry.version(model, which)
    running, now = system.rollouts.running(model), system.clock.now()
    alone = canary is None and not shadow
    if running is not None:
        if alone and running.version == chosen.version and running.effective != "watching":
            transition = manual_steps.promote(running, actor=actor, reason=reason)
            execute_transition(system, running.number, transition, now=now)
            return system.registry.version(model, chosen.version)
        # What cannot be deployed supersedes nothing.
        require_release(system, chosen, progress=progress)
        transition = manual_steps.supersede(running, chosen.version, actor=actor)
        execute_transition(system, running.number, transition, now=now)
    if alone:
        chosen = deploy_champion(system, chosen, actor=actor, reason=reason, progress=progress)
    else:
        deploy_beside(system, chosen, canary_share=None if shadow else canary, progress=progress)
    action = "shadow" if shadow else "promote" if canary is None else f"canary {canary:g}"
    _record(system, chosen, action, actor, reason)
    return chosen


def roll_back(system: System, model: str, *, actor: str, reason: str, progress: Progress = SILENT) -> ModelVersion:
    """Take back the version that is being rolled out; where none is, make the previous champion the champion again.

    The previous champion's release and the features that it reads are prepared first, if they are not kept any more.
    """
    running = system.rollouts.running(model)
    if running is not None:
        transition = manual_steps.roll_back(running, actor=actor, reason=reason)
        execute_transition(system, running.number, transition, now=system.clock.now())
        return system.registry.version(model, running.previous)

    with ExitStack() as stack:
        for version in system.registry.versions(model):
            if PREVIOUS in version.aliases:
                stack.enter_context(prepared(system, version, progress=progress))
        chosen = deploy_alone(system, system.registry.roll_back(model, actor=actor, reason=reason))
    _record(system, chosen, "roll_back", actor, reason)
    return chosen


def _record(system: System, version: ModelVersion, action: str, actor: str, reason: str) -> None:
    now, model = system.clock.now(), version.model
    system.audit.append(at=now, actor=actor, action=action, model=model, version=version.version, reason=reason)
