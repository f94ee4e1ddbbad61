"""Reconciliation of the champion's alias: one that was moved in the registry itself is judged and delivered."""

from __future__ import annotations

import logging
from datetime import datetime

from everfit.artifact.package import open_package
from everfit.core.errors import EverfitError, StoreError
from everfit.core.event_log import log_event
from everfit.core.records import ModelVersion
from everfit.core.sqlite_url import anchor_url
from everfit.delivery.alias_conflict import AliasConflict, find_alias_conflict
from everfit.delivery.state_machine import POLICY
from everfit.loop.rollout_executor import begin_rollout, deploy_champion, sync_deployment
from everfit.registry.aliases import CHAMPION
from everfit.registry.version_list import list_versions
from everfit.system import System

_log = logging.getLogger(__name__)


def reconcile(system: System, model: str, now: datetime) -> AliasConflict | None:
    """Bring the deployment and the registry's alias to the same champion; return the conflict that was resolved.

    A version that was made the champion in the registry is delivered like any other: its package must be signed by
    this system, it must have passed its gates, and it goes through the model's stages. The alias is moved back where
    that ends otherwise.
    """
    present = system.deployment.of(model)
    if present is None or _named_in_store(system, model) == present.champion.version:
        return None
    registry = system.registry  # from here on by MLflow itself
    named = registry.champion(model)
    if named is None or named.version == present.champion.version:
        return None
    changes = reversed(registry.history(model))
    recorded = next((change.version for change in changes if change.alias == CHAMPION), None)
    rollouts, deployed = system.rollouts.of(model), present.champion.version
    found = find_alias_conflict(named.version, deployed, rollouts, recorded_champion=recorded)
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
    system.audit.append(at=now, actor=POLICY, action="restore", model=model, version=found.deployed, reason=reason)
    return found


def _named_in_store(system: System, model: str) -> int | None:
    """Return the champion's number by MLflow's store; ``None`` if there is none, or MLflow itself must be asked."""
    try:
        versions = list_versions(anchor_url(system.project.settings.stores.tracking, system.project.root), model)
    except StoreError:
        return None
    return next((version.version for version in versions if CHAMPION in version.aliases), None)


def _unusable(system: System, version: ModelVersion) -> str:
    """Return the reason why a version must not be delivered; empty if it may be."""
    try:
        open_package(system.registry.fetch(version), trust=system.trust)
    except EverfitError as error:
        return f"It must not be used: {error}"
    return "" if system.registry.passed_gates(version) else "There is no report of gates that it passed."
