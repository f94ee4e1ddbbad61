"""Somebody moved the champion's alias in the registry: what is to be done about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from everfit.core.rollout import Rollout

Remedy = Literal["gate", "follow", "restore", "wait"]
"""``gate``: an outside promotion, to be judged and rolled out like any candidate; ``follow``: it was Everfit, and the
deployment has yet to follow; ``restore``: it was judged and taken back, so that the alias belongs to the deployed
champion; ``wait``: it is being rolled out."""


class Noticed(Struct, frozen=True, kw_only=True):
    """The registry and the deployment disagree about who is the champion."""

    remedy: Remedy
    version: int
    """Whom the registry names."""
    deployed: int
    """Who answers."""
    sentence: str


def noticed(
    registry_champion: int | None,
    deployed_champion: int | None,
    rollouts: Sequence[Rollout],
    *,
    recorded_champion: int | None = None,
) -> Noticed | None:
    """What to do about an alias that does not point to who answers.

    Args:
        registry_champion: Whom the registry names; an alias that somebody took away changes nothing.
        deployed_champion: Who answers.
        rollouts: The model's, oldest first.
        recorded_champion: Whom the ledger's history of aliases names last. Everfit writes there before it moves an
            alias, so that one without a line was moved by someone else.

    Returns:
        ``None`` if they agree, or there is nothing to compare.
    """
    if registry_champion is None or deployed_champion is None or registry_champion == deployed_champion:
        return None

    remedy, why = _remedy(registry_champion, deployed_champion, rollouts[-1] if rollouts else None, recorded_champion)
    moved = f"The registry names version {registry_champion} the champion, version {deployed_champion} answers"
    return Noticed(remedy=remedy, version=registry_champion, deployed=deployed_champion, sentence=f"{moved}: {why}.")


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
    return "gate", "somebody promoted it in the registry itself, so it is gated and rolled out"
