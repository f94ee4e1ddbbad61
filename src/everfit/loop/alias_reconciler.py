"""Reconciliation of the champion's alias: one that was moved in the registry itself is judged and delivered."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from everfit.artifact.package import open_package
from everfit.core.errors import EverfitError
from everfit.core.event_log import log_event
from everfit.core.rollout import Rollout
from everfit.delivery.alias_conflict import AliasConflict, find_alias_conflict
from everfit.delivery.audit import AuditLine
from everfit.delivery.state_machine import POLICY
from everfit.loop.rollout_executor import begin_rollout, deploy_champion, sync_deployment
from everfit.system import System

_CHAMPION = "champion"
_CHECK_S = 5.0
"""Shortest time between two questions to the registry: each takes tens of milliseconds."""
_log = logging.getLogger(__name__)


class AliasReconciler:
    """Reconciliation of one model, every few seconds."""

    def __init__(self, system: System, model: str) -> None:
        self._system = system
        self._model = model
        self._due_s = 0.0

    def reconcile_if_due(self, now: datetime) -> None:
        """Reconcile unless that was done just now."""
        if time.monotonic() >= self._due_s:
            reconcile(self._system, self._model, now)
            self._due_s = time.monotonic() + _CHECK_S


def reconcile(system: System, model: str, now: datetime) -> AliasConflict | None:
    """Bring the deployment and the registry's alias to the same champion.

    A version that was made the champion in the registry is delivered like any other: its package must be signed by
    this system, it must have passed its gates, and it goes through the model's stages. The alias is moved back where
    that ends otherwise.

    Returns:
        The conflict that was found and resolved; ``None`` if they agree.
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
    log_event(_log, "alias_conflict", f"{model}: {found.sentence}", model=model, version=found.version)
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
