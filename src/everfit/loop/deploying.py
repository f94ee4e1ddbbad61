"""Who answers: the alias in the registry, then the deployment record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from everfit.core.errors import UnknownVersionError
from everfit.core.records import (
    ModelVersion,
)
from everfit.store.deployment import Deployed, ModelDeployment

if TYPE_CHECKING:
    from everfit.system import System


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
    """Let a version answer: as the champion, for a share of the ids, or in shadow.

    The package is verified first. For a champion the alias moves before the deployment record, and doing it again
    mends whatever a crash left between the two; a canary and a shadow only take part in the deployment, until a
    champion is promoted, were it the same again: it answers alone.

    Args:
        system: The parts.
        model: Its name.
        which: Version or alias.
        canary: Answer this share of the ids, above 0 up to 1, and leave the rest to the champion.
        shadow: Only be asked as well, after the answer was sent.
        actor: Who asked, for the record.
        reason: Why, for the record.

    Raises:
        UnknownVersionError: If there is no such version, or no champion beside whom it could answer.
        PackageError: If the package must not be used.
    """
    from everfit.artifact.package import open_package

    chosen = system.registry.version(model, which)
    open_package(system.registry.fetch(chosen), trust=system.trust)
    if canary is None and not shadow:
        return _deploy(system, system.registry.promote(model, chosen.version, actor=actor, reason=reason))
    deployed = deployed_of(system, chosen)

    def decide(present: ModelDeployment | None) -> ModelDeployment:
        if present is None:
            raise UnknownVersionError(
                "only beside a champion can another version answer",
                value=model,
                remedy=f"Promote one first: everfit promote {model} VERSION.",
            )
        if shadow:
            return replace(present, shadow=deployed)
        return replace(present, canary=deployed, canary_share=canary)

    system.deployment.change(model, decide, changed_at=system.clock.now())
    return chosen


def roll_back(system: System, model: str, *, actor: str, reason: str) -> ModelVersion:
    """Make the previous champion the champion again and let it serve."""
    return _deploy(system, system.registry.roll_back(model, actor=actor, reason=reason))


def _deploy(system: System, version: ModelVersion) -> ModelVersion:
    """Let a champion answer alone: who was tried beside the last one was tried against that."""
    deployed = deployed_of(system, version)
    system.deployment.change(
        version.model,
        lambda present: (
            present
            if present and (present.champion, present.canary, present.shadow) == (deployed, None, None)
            else ModelDeployment(model=version.model, champion=deployed, loaded=present is None or present.loaded)
        ),
        changed_at=system.clock.now(),
    )
    return version


def deployed_of(system: System, version: ModelVersion) -> Deployed:
    """What the deployment record says of a version: its package's digest, and where it lies on this machine."""
    folder = system.registry.fetch(version)
    within = folder.relative_to(system.state) if folder.is_relative_to(system.state) else folder
    return Deployed(version=version.version, digest=version.digest, folder=str(within))
