"""Rollouts and evidence as the tests need them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from everfit.core.rollout import (
    LossComparison,
    PredictionDistance,
    Rollout,
    StageEvidence,
    TransitionRecord,
    VersionMetrics,
)
from everfit.definitions.rollout import Canary, RolloutPlan, Shadow

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN = RolloutPlan(
    stages=(Shadow(100, at_least="1h", at_most="2d"), Canary(0.1, 100, at_most="2d"), Canary(0.5, 200)), watch="3d"
)


def rollout(state: Any = "shadow", stage: int = 0, **changes: Any) -> Rollout:
    """Version 4 on its way to the place of version 3."""
    share = PLAN.stages[stage].share if state == "canary" else 0.0
    line = TransitionRecord(
        at=START, actor="policy", action="begin", state=state, stage=stage, sentence="it passed its gates"
    )
    known: dict[str, Any] = {"share": share, "began_at": START, "entered_at": START, "history": (line,)}
    return Rollout(
        number=1, model="late", version=4, previous=3, cause="it passed its gates", state=state, stage=stage,
        **(known | changes),
    )  # fmt: skip


def evidence(
    requests: int = 0, *, failed: int = 0, champion_failed: int = 0, distance: PredictionDistance | None = None,
    compared: LossComparison | None = None, champion_is_worse: bool = False, **challenger: Any,
) -> StageEvidence:  # fmt: skip
    """Nothing remarkable, unless it is said."""
    return StageEvidence(
        requests=requests,
        challenger=VersionMetrics(version=4, rows=requests, failed=failed, **challenger),
        champion=VersionMetrics(version=3, rows=1_000, failed=champion_failed),
        distance=distance,
        comparisons=() if compared is None else (compared,),
        champion_is_worse=champion_is_worse,
    )


def compared(
    worse_by: float, at_least: float | None, at_most: float | None = None, *, rows: int = 400
) -> LossComparison:
    """What outcomes say of the challenger, whose champion has a loss of a half."""
    return LossComparison(
        loss="log loss", paired=True, rows=rows, challenger=0.5 + worse_by, champion=0.5, worse_by=worse_by,
        at_least=at_least, at_most=at_most,
    )  # fmt: skip


def alike(at_least: float = 0.0, *, spread: float = 0.2) -> PredictionDistance:
    """How the answers are distributed."""
    return PredictionDistance(
        rows=200, champion_rows=200, distance=at_least, at_least=at_least, spread=spread, champion_spread=0.2
    )
