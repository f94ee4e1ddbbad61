"""Traffic assignment of a rollout's state. Pure.

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
    """Map a rollout's state to the traffic assignment. Idempotent.

    If a third version was deployed in the meantime it stays: the rollout is about two others. Raises
    :class:`UnknownVersionError` if no version is deployed yet, or the package of one of the two is missing.
    """
    if present is None:
        raise UnknownVersionError("a version is rolled out beside a champion, and there is none", value=rollout.model)
    state = rollout.effective
    ours = present.champion.version in {rollout.version, rollout.previous}
    if not ours or state in {"waiting_approval", "superseded"}:
        return present
    missing = {rollout.version, rollout.previous} - set(packages)
    if missing:
        raise UnknownVersionError("the package of a version that is rolled out must be there", value=min(missing))
    challenger, previous = packages[rollout.version], packages[rollout.previous]
    return replace(
        present,
        champion=challenger if state in {"watching", "kept"} else previous,
        canary=challenger if state == "canary" else None,
        canary_share=rollout.share if state == "canary" else 0.0,
        shadow={"shadow": challenger, "watching": previous}.get(state),
    )
