"""Who answers while a rollout is where it is. Pure.

:meth:`everfit.store.deployment.DeploymentRecord.change` applies it.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from everfit.core.errors import UnknownVersionError
from everfit.core.rollout import Rollout
from everfit.store.deployment import Deployed, ModelDeployment


def deployment_for(
    present: ModelDeployment | None, rollout: Rollout, packages: Mapping[int, Deployed]
) -> ModelDeployment:
    """Who shall answer. Applied to its own result it changes nothing.

    Where somebody let a third version answer in the meantime, that stays: the rollout is about two others.

    Args:
        present: Who answers now.
        rollout: Where the rollout is.
        packages: The packages of the newcomer and of the champion of before, by version.

    Raises:
        UnknownVersionError: If nobody answers yet, or a package is missing.
    """
    if present is None:
        raise UnknownVersionError("a version is rolled out beside a champion, and there is none", value=rollout.model)
    if present.champion.version not in {rollout.version, rollout.previous}:
        return present
    state = rollout.effective
    if state in {"waiting_approval", "superseded"}:
        return present
    newcomer, previous = _of(packages, rollout.version), _of(packages, rollout.previous)
    promoted = state in {"watching", "kept"}
    return replace(
        present,
        champion=newcomer if promoted else previous,
        canary=newcomer if state == "canary" else None,
        canary_share=rollout.share if state == "canary" else 0.0,
        shadow={"shadow": newcomer, "watching": previous}.get(state),
    )


def _of(packages: Mapping[int, Deployed], version: int) -> Deployed:
    try:
        return packages[version]
    except KeyError:
        raise UnknownVersionError("the package of a version that is rolled out must be there", value=version) from None
