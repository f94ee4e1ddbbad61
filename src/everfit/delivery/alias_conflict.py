"""Conflicts between the registry's champion alias and the deployment. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from everfit.core.rollout import Rollout

Remedy = Literal["gate", "follow", "restore", "wait"]
"""``gate``: promoted outside of Everfit, to be judged and rolled out like any candidate; ``follow``: promoted by
Everfit, and the deployment has yet to follow; ``restore``: judged and taken back, so that the alias belongs to the
deployed champion; ``wait``: it is being rolled out."""


class AliasConflict(Struct, frozen=True, kw_only=True):
    """The registry's champion is not the deployed one."""

    remedy: Remedy
    version: int
    """The registry's."""
    deployed: int
    sentence: str


def find_alias_conflict(
    registry_champion: int | None,
    deployed_champion: int | None,
    rollouts: Sequence[Rollout],
    *,
    recorded_champion: int | None = None,
) -> AliasConflict | None:
    """Decide how to resolve an alias that does not name the deployed champion; ``None`` if there is no conflict.

    Args:
        registry_champion: The version with the alias; an alias that was removed changes nothing.
        rollouts: The model's, oldest first.
        recorded_champion: The newest in the ledger's history of aliases. Everfit writes there before it moves an alias,
            so that a move without an entry came from outside.
    """
    if registry_champion is None or deployed_champion is None or registry_champion == deployed_champion:
        return None
    remedy, why = _remedy(registry_champion, deployed_champion, rollouts[-1] if rollouts else None, recorded_champion)
    names = f"The registry names version {registry_champion} the champion"
    sentence = f"{names}, but version {deployed_champion} is deployed: {why}."
    return AliasConflict(remedy=remedy, version=registry_champion, deployed=deployed_champion, sentence=sentence)


def _remedy(named: int, deployed: int, last: Rollout | None, recorded: int | None) -> tuple[Remedy, str]:
    if last is not None and (last.version, last.previous) == (named, deployed):
        if last.effective in {"watching", "kept"}:
            return "follow", "its promotion has yet to reach the deployment"
        if not last.ended:
            return "wait", "it is being rolled out"
        if recorded != named:
            return "restore", f"it was tried and {last.state.replace('_', ' ')}"
    if last is not None and (last.previous, last.version, last.state) == (named, deployed, "rolled_back"):
        return "follow", f"the rollback of version {deployed} has yet to reach the deployment"
    if recorded == named:
        return "follow", "it was promoted through Everfit, and the deployment has yet to follow"
    return "gate", "it was promoted in the registry itself, so it is gated and rolled out"
