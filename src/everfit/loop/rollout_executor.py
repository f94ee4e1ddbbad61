"""Execution of rollouts: each transition is written to the ledger, then the alias follows, then the deployment record.

After a crash the same three are done again, and what was done already stays as it is.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from everfit.artifact.package import manifest_of, open_package
from everfit.core.errors import UnknownVersionError
from everfit.core.order import OrderState
from everfit.core.progress import SILENT, Progress
from everfit.core.records import ModelVersion
from everfit.core.rollout import Rollout, RolloutState, Transition, TransitionRecord
from everfit.delivery.state_machine import POLICY, advance
from everfit.delivery.traffic import deployment_for
from everfit.loop.release_restoration import prepared
from everfit.store.active_release import release_of
from everfit.store.deployment import Deployed, ModelDeployment

if TYPE_CHECKING:
    from everfit.definitions.model import Model
    from everfit.journal.prediction_history import PredictionHistory
    from everfit.system import System

ORDER_ENDS: dict[RolloutState, OrderState] = {
    "watching": "shipped",
    "kept": "shipped",
    "refused": "taken_back",
    "rolled_back": "taken_back",
    "superseded": "cancelled",
}
"""State of the training order of a rollout, by the state that the rollout has come to."""


def begin_rollout(
    system: System,
    version: ModelVersion,
    *,
    cause: str,
    now: datetime,
    order: int | None = None,
    actor: str = POLICY,
    progress: Progress = SILENT,
) -> Rollout | None:
    """Begin to roll out a version that passed its gates; where none is deployed yet, it is the champion at once.

    Its release and features are prepared first. Returns ``None`` if there was no champion beside which it could be
    tried. Raises :class:`PackageError` if the package must not be used, and :class:`StoreError` if the ledger or the
    deployment record cannot be written.
    """
    with prepared(system, version, progress=progress):
        return _begin_rollout(system, version, cause=cause, now=now, order=order, actor=actor)


def _begin_rollout(
    system: System, version: ModelVersion, *, cause: str, now: datetime, order: int | None, actor: str
) -> Rollout | None:
    model, number, present = version.model, version.version, system.deployment.of(version.model)
    if present is None or present.champion.version == number:
        deploy_champion(system, version, actor=actor, reason=cause)
        sentence = f"Version {number} is the champion at once: there was none to be compared with."
        system.audit.append(at=now, actor=actor, action="promote", model=model, version=number, reason=sentence)
        if order is not None:
            system.orders.finish(order, state="shipped", sentence=sentence, now=now)
        return None
    plan, previous = system.project.model(model).rollout_plan, present.champion.version
    rollout = system.rollouts.begin(
        model, number, previous=previous, plan=plan, cause=cause, now=now, order=order, actor=actor
    )
    sync_deployment(system, rollout)
    for other in system.rollouts.of(model):
        # Done again, nothing changes.
        if other.state == "superseded":
            _record(system, other, other.history[-1])
            _end_order(system, other, now)
    _record(system, rollout, rollout.history[0])
    return rollout


def execute_transition(system: System, number: int, transition: Transition, *, now: datetime) -> Rollout:
    """Carry a transition of a rollout out, with all that follows from it; one that was overtaken changes nothing.

    Raises :class:`StoreError` if there is no such rollout, or the ledger or the deployment record cannot be written.
    """
    rollout = system.rollouts.apply(number, transition, now=now)
    sync_deployment(system, rollout)
    entry = rollout.history[transition.place] if len(rollout.history) > transition.place else None
    if entry is not None and (entry.action, entry.actor) == (transition.action, transition.actor):
        _record(system, rollout, entry)
    _end_order(system, rollout, now)
    return rollout


def next_transition(
    system: System, definition: Model, rollout: Rollout, history: PredictionHistory, now: datetime
) -> Transition:
    """Decide a rollout's next transition by the evidence of its present stage.

    Raises :class:`StoreError` if the log cannot be read, and :class:`PackageError` if a package must not be used.
    """
    from everfit.loop.rollout_evidence import rollout_evidence

    schemas = {}
    for number in (rollout.previous, rollout.version):
        folder = system.registry.fetch(system.registry.version(rollout.model, number))
        schemas[number] = open_package(folder, trust=system.trust).schema
    evidence = rollout_evidence(system, definition, rollout, schemas, history, now)
    incidents = system.incidents.of(rollout.model, since=now, as_of=now)
    is_worse = any(found.resolved_at is None and found.is_drop_of(rollout.previous) for found in incidents)
    evidence = replace(evidence, champion_is_worse=is_worse)
    return advance(rollout, definition.rollout_plan, evidence, now)


def sync_deployment(system: System, rollout: Rollout) -> None:
    """Bring alias and deployment record to a rollout's state; nothing changes if they have it.

    A step that was interrupted, or a person's, may be applied beside a later one. The ledger is read again after
    writing, so that the rollout's last state is what stays.
    """
    registry, model, both = system.registry, rollout.model, (rollout.version, rollout.previous)
    while True:
        last, champion = rollout.history[-1], registry.champion(model)
        chosen = {"watching": rollout.version, "rolled_back": rollout.previous}.get(rollout.state)
        # Where a third version was made the champion in the meantime, that stays.
        if chosen is not None and champion is not None and champion.version in both:
            registry.set_champion(model, chosen, actor=last.actor, reason=last.sentence)
        packages = {number: deployed_version(system, registry.version(model, number)) for number in both}
        decide = partial(deployment_for, rollout=rollout, packages=packages)
        system.deployment.change(model, decide, changed_at=system.clock.now())
        present = system.rollouts.one(rollout.number)
        if len(present.history) == len(rollout.history):
            return
        rollout = present


def deploy_champion(
    system: System, version: ModelVersion, *, actor: str, reason: str, progress: Progress = SILENT
) -> ModelVersion:
    """Make a version the champion that receives all requests; the version with its aliases is returned.

    The package is verified first, else :class:`PackageError`; its release and features are prepared. The alias moves
    before the deployment record, and doing it again completes what a crash left between the two.
    """
    with prepared(system, version, progress=progress):
        named = system.registry.set_champion(version.model, version.version, actor=actor, reason=reason)
        return deploy_alone(system, named)


def deploy_beside(
    system: System, version: ModelVersion, *, canary_share: float | None, progress: Progress = SILENT
) -> None:
    """Deploy a version beside the champion: as canary with a share of the ids, or in shadow if that is ``None``.

    Its release and features are prepared first. It stays until a champion is promoted, even if that is the same again.
    Raises :class:`UnknownVersionError` if there is none, and :class:`PackageError` if the package must not be used.
    """

    def _beside(present: ModelDeployment | None) -> ModelDeployment:
        if present is None:
            raise UnknownVersionError(
                "there must be a champion before another version receives traffic",
                value=version.model,
                remedy=f"Promote one first: everfit promote {version.model} VERSION.",
            )
        if canary_share is None:
            return replace(present, shadow=deployed)
        return replace(present, canary=deployed, canary_share=canary_share)

    with prepared(system, version, progress=progress):
        deployed = deployed_version(system, version)
        system.deployment.change(version.model, _beside, changed_at=system.clock.now())


def deploy_alone(system: System, version: ModelVersion) -> ModelVersion:
    """Let the deployment record name a champion with no canary and no shadow: these were tried against the last one."""
    deployed = deployed_version(system, version)

    def alone(present: ModelDeployment | None) -> ModelDeployment:
        if present and (present.champion, present.canary, present.shadow) == (deployed, None, None):
            return present
        return ModelDeployment(model=version.model, champion=deployed, loaded=present is None or present.loaded)

    system.deployment.change(version.model, alone, changed_at=system.clock.now())
    return version


def deployed_version(system: System, version: ModelVersion) -> Deployed:
    """Return a version's entry in the deployment record: its package's digest and folder on this machine."""
    folder = system.registry.fetch(version)
    within = folder.relative_to(system.state) if folder.is_relative_to(system.state) else folder
    lineage = manifest_of(folder).lineage
    release = release_of(system.state, lineage.release, commit=lineage.code.commit)
    environment = release.environment if release else ""
    return Deployed(version=version.version, digest=version.digest, folder=str(within), environment=environment)


def _end_order(system: System, rollout: Rollout, now: datetime) -> None:
    state = ORDER_ENDS.get(rollout.state)
    if rollout.order is not None and state is not None:
        system.orders.finish(rollout.order, state=state, sentence=rollout.history[-1].sentence, now=now)


def _record(system: System, rollout: Rollout, entry: TransitionRecord) -> None:
    system.audit.append(
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        model=rollout.model,
        version=rollout.version,
        reason=entry.sentence,
    )
