"""Somebody moved an alias in the registry itself: that is heeded, gated and delivered."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from everfit.core.errors import EverfitError
from everfit.delivery.alias_conflict import AliasConflict, find_alias_conflict
from everfit.delivery.audit import AuditLine
from everfit.delivery.state_machine import POLICY
from everfit.loop.rollout_executor import begin_rollout, deploy_champion, sync_deployment

if TYPE_CHECKING:
    from everfit.core.rollout import Rollout
    from everfit.system import System

_CHAMPION = "champion"
_log = logging.getLogger(__name__)


def heed(system: System, model: str, now: datetime) -> AliasConflict | None:
    """Let deployment and registry agree about who is the champion.

    A version that somebody named the champion there is delivered like any other: its package must be one that this
    system signed, whose gates it passed, and it goes through the model's stages. The alias is given back where that
    ends otherwise.

    Args:
        system: The parts.
        model: Its name.
        now: The present instant.

    Returns:
        What was noticed and dealt with; ``None`` if they agree.
    """
    registry, present = system.registry, system.deployment.of(model)
    named = registry.champion(model)
    if named is None or present is None or named.version == present.champion.version:
        return None
    recorded = [change.version for change in registry.history(model) if change.alias == _CHAMPION]
    rollouts = system.rollouts.of(model)
    found = find_alias_conflict(
        named.version, present.champion.version, rollouts, recorded_champion=recorded[-1] if recorded else None
    )
    if found is None or found.remedy == "wait":
        return found
    _log.info("%s: %s", model, found.sentence)
    if found.remedy == "follow":
        _follow(system, model, found, rollouts)
    elif found.remedy == "restore":
        _restore(system, model, found, found.sentence, now)
    else:
        _gate(system, model, found, now)
    return found


def _follow(system: System, model: str, found: AliasConflict, rollouts: tuple[Rollout, ...]) -> None:
    last = rollouts[-1] if rollouts else None
    if last is not None and found.version in {last.version, last.previous} and last.state != "superseded":
        sync_deployment(system, last)
    else:
        deploy_champion(system, system.registry.version(model, found.version), actor=POLICY, reason=found.sentence)


def _gate(system: System, model: str, found: AliasConflict, now: datetime) -> None:
    from everfit.artifact.package import open_package

    version = system.registry.version(model, found.version)
    try:
        open_package(system.registry.fetch(version), trust=system.trust)
    except EverfitError as error:
        _restore(system, model, found, f"{found.sentence} It must not be used: {error}", now)
        return
    if not system.registry.passed_gates(version):
        _restore(system, model, found, f"{found.sentence} There is no report of gates that it passed.", now)
        return
    begin_rollout(system, version, cause=found.sentence, now=now, actor="MLflow")


def _restore(system: System, model: str, found: AliasConflict, reason: str, now: datetime) -> None:
    system.registry.set_champion(model, found.deployed, actor=POLICY, reason=reason)
    line = AuditLine(at=now, actor=POLICY, action="restore", model=model, version=found.deployed, reason=reason)
    system.audit.append(line)
