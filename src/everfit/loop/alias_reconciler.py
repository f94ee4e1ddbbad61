"""Reconciliation of the champion's alias: one that was moved in the registry itself is judged and delivered."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from everfit.artifact.package import open_package
from everfit.core.errors import EverfitError
from everfit.core.event_log import log_event
from everfit.core.records import ModelVersion
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
    reason = found.sentence
    log_event(_log, "alias_conflict", f"{model}: {reason}", model=model, version=found.version)
    if found.remedy == "follow":
        last = rollouts[-1] if rollouts else None
        if last is not None and found.version in {last.version, last.previous} and last.state != "superseded":
            sync_deployment(system, last)
        else:
            deploy_champion(system, registry.version(model, found.version), actor=POLICY, reason=reason)
        return found
    if found.remedy == "gate":
        version = registry.version(model, found.version)
        problem = _unusable(system, version)
        if not problem:
            begin_rollout(system, version, cause=reason, now=now, actor="MLflow")
            return found
        reason += f" {problem}"
    registry.set_champion(model, found.deployed, actor=POLICY, reason=reason)
    system.audit.append(
        AuditLine(at=now, actor=POLICY, action="restore", model=model, version=found.deployed, reason=reason)
    )
    return found


def _unusable(system: System, version: ModelVersion) -> str:
    """Return the reason why a version must not be delivered; empty if it may be."""
    try:
        open_package(system.registry.fetch(version), trust=system.trust)
    except EverfitError as error:
        return f"It must not be used: {error}"
    return "" if system.registry.passed_gates(version) else "There is no report of gates that it passed."
