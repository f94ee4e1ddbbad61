"""Rollouts lived through: callers ask, versions answer by the deployment, outcomes come a day later."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tests.delivery.situation import START

from everfit.core.rollout import Rollout, apply_transition
from everfit.definitions.rollout import Canary, RolloutPlan, Shadow
from everfit.delivery.scoring import Scoring
from everfit.delivery.stage_metrics import stage_evidence
from everfit.delivery.state_machine import advance

PLAN = RolloutPlan(stages=(Shadow(200), Canary(0.5, 200)), watch="5d")
SCORING = Scoring(task="binary", metric="log_loss")
FAILURES = pl.DataFrame(
    schema={"version": pl.Int64, "route": pl.String, "recorded_at": pl.Datetime("us", "UTC"), "problem": pl.String}
)
NOISE = 0.5
"""How far, in logits, a model that is as good as the champion is from the truth."""
ROW_EVERY = timedelta(minutes=4)
DELAY = timedelta(days=1)
LOOK_EVERY = 400
"""Rows."""


@dataclass
class Life:
    """One rollout from its beginning to its end.

    Args:
        seed: Another one, another life.
        noise: Of the challenger, in logits.
    """

    seed: int
    noise: float = NOISE
    plan: RolloutPlan = PLAN
    scoring: Scoring = SCORING
    rows: int = 0
    parts: list[pl.DataFrame] = field(default_factory=list)

    def run(self, rollout: Rollout, *, most: int = 20_000) -> Rollout:
        """Live until it ends, or for so many rows."""
        dice = np.random.default_rng(self.seed)
        while not rollout.ended and self.rows < most:
            self.parts.append(self._answers(dice, rollout))
            now = START + self.rows * ROW_EVERY
            answers = pl.concat(self.parts).with_columns(
                label=pl.when(pl.col("label_known_at") <= now).then(pl.col("label"))
            )
            found = stage_evidence(answers, FAILURES, rollout=rollout, plan=self.plan, scoring=self.scoring, now=now)
            rollout = apply_transition(rollout, advance(rollout, self.plan, found, now), now)
        return rollout

    def _answers(self, dice: np.random.Generator, rollout: Rollout) -> pl.DataFrame:
        place = np.arange(self.rows, self.rows + LOOK_EVERY)
        self.rows += LOOK_EVERY
        logit = dice.normal(-0.5, 1.2, LOOK_EVERY)
        truth = (dice.random(LOOK_EVERY) < _chance(logit)).astype(float)
        said = {
            3: _chance(logit + dice.normal(0, NOISE, LOOK_EVERY)),
            4: _chance(logit + dice.normal(0, self.noise, LOOK_EVERY)),
        }
        canary = dice.random(LOOK_EVERY) < rollout.share
        every = np.ones(LOOK_EVERY, dtype=bool)
        who: list[tuple[int, str, NDArray[Any]]] = {
            "shadow": [(3, "champion", every), (4, "shadow", every)],
            "canary": [(3, "champion", ~canary), (4, "canary", canary)],
            "watching": [(4, "champion", every), (3, "shadow", every)],
        }[rollout.state]
        return pl.concat(
            frame_of(version, route, place[chosen], said[version][chosen], truth[chosen])
            for version, route, chosen in who
        )


def frame_of(
    version: int, route: str, place: NDArray[Any], said: NDArray[np.float64], truth: NDArray[np.float64]
) -> pl.DataFrame:
    """Answers as the journal has them; one row is asked every four minutes."""
    at = pl.Series(place).cast(pl.Int64) * int(ROW_EVERY.total_seconds())
    asked = pl.lit(START) + pl.duration(seconds=pl.col("at"))
    return pl.DataFrame({"at": at, "prediction": said, "label": truth}).select(
        pl.format("row-{}", pl.Series(place).cast(pl.Int64)).alias("id"),
        pl.lit(version, pl.Int64).alias("version"),
        pl.lit(route).alias("route"),
        pl.lit(0, pl.Int64).alias("row"),
        asked.cast(pl.Datetime("us", "UTC")).alias("recorded_at"),
        asked.cast(pl.Datetime("us", "UTC")).alias("event_time"),
        pl.lit(900, pl.Int64).alias("latency_us"),
        "prediction",
        "label",
        (asked + DELAY).cast(pl.Datetime("us", "UTC")).alias("label_known_at"),
    )


def _chance(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logit))
    return chance
