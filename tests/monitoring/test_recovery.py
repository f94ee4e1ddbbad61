"""An incident of performance ends by evidence that it is over, and not by a good night."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from tests.monitoring.lives import DAY

import everfit as ef
from everfit.core.columns import ID, KNOWN_AT, LABEL, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.evidence import Task
from everfit.measures.weighting import Floats
from everfit.monitoring.performance import Scale
from everfit.monitoring.performance_alarm import Alarm, performance_alarm
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile

START = datetime(2026, 3, 1, tzinfo=UTC)
PER_DAY, HELD_OUT_DAYS, BAD_DAYS = 200, 20, 12
BAD_UNTIL = START + BAD_DAYS * DAY
ALPHA = 0.05
LIVES = int(os.environ.get("EVERFIT_TEST_RECOVERY_LIVES", "40"))
TASKS: list[Task] = ["binary", "multiclass", "regression"]


class Kind(NamedTuple):
    """A task with constant predictions: its loss has two values, and the chance of the greater one decides the mean."""

    scale: Scale
    predictions: dict[str, float]
    usual: float
    """The chance of the greater loss on the hold-out."""
    smaller: float
    greater: float
    expected: float | None = None
    """The loss that such predictions announce; ``None`` for the mean of the hold-out."""


LOG = [-float(np.log(chance)) for chance in (0.8, 0.15, 0.05)]
KINDS: dict[Task, Kind] = {
    "binary": Kind(
        Scale(task="binary", metric="log_loss", classes=(False, True)),
        {"prediction": 0.1},
        0.1,
        -float(np.log(0.9)),
        -float(np.log(0.1)),
    ),
    "multiclass": Kind(
        Scale(task="multiclass", metric="log_loss", classes=("a", "b", "c")),
        {"prediction.a": 0.8, "prediction.b": 0.15, "prediction.c": 0.05},
        0.2,
        LOG[0],
        LOG[1],
        expected=float(np.dot(LOG, [0.8, 0.15, 0.05])),
    ),
    "regression": Kind(Scale(task="regression", metric="mae", classes=()), {"prediction": 0.0}, 0.3, 0.5, 1.5),
}


def rows(kind: Kind, dice: np.random.Generator, start: datetime, chance: Floats) -> pl.DataFrame:
    """Predictions whose labels come two hours later, with a chance of the greater loss for each."""
    worse = dice.random(len(chance)) < chance
    # A regression's smaller error is 0.5, the greater one 1.5.
    truth = 0.5 + worse if kind.scale.task == "regression" else worse.astype(float)
    step = DAY // PER_DAY // timedelta(microseconds=1)
    asked = pl.Series(np.arange(len(chance)) * step, dtype=pl.Int64).cast(pl.Duration("us")) + start
    return pl.DataFrame({TIME: asked.cast(pl.Datetime("us", "UTC")), LABEL: truth}).with_columns(
        pl.col(TIME).cast(pl.String).alias(ID),
        pl.col(TIME).alias(RECORDED_AT),
        pl.lit(1).alias(VERSION),
        pl.lit("champion").alias(ROUTE),
        (pl.col(TIME) + timedelta(hours=2)).alias(KNOWN_AT),
        **{name: pl.lit(value) for name, value in kind.predictions.items()},
    )


def cyclic(mean: float, days: int, swing: float = 0.9) -> Floats:
    """A chance that is greater by day and smaller by night, with a mean."""
    hours = np.arange(days * PER_DAY) * 24 / PER_DAY
    found: Floats = mean * (1 + swing * np.sin(2 * np.pi * hours / 24))
    return found


class Life(NamedTuple):
    """A version that became worse, and what became of it."""

    reference: ReferenceProfile
    bad: pl.DataFrame
    opened: Alarm

    @classmethod
    def of(cls, kind: Kind, dice: np.random.Generator) -> Life:
        held_out = rows(kind, dice, START - HELD_OUT_DAYS * DAY, cyclic(kind.usual, HELD_OUT_DAYS, 0.3))
        reference = ReferenceProfile(held_out.with_columns(pl.lit(True).alias(HELD_OUT)), kind.scale, (), {}, DAY)
        bad = rows(kind, dice, START, cyclic(min(3 * kind.usual, 0.7), BAD_DAYS, 0.4))
        opened = cls(reference, bad, None).alarm(bad)  # type: ignore[arg-type]
        return cls(reference, bad, opened)

    def alarm(self, live: pl.DataFrame) -> Alarm:
        found = performance_alarm(live, self.reference, ef.PerformanceDrop(alpha=ALPHA))
        assert found is not None
        return found


def false_all_clears(kind: Kind, lives: int) -> int:
    """Lives whose loss stays just beyond what is tolerated for sixty days, and whose alarm ends all the same."""
    found = 0
    for seed in range(lives):
        dice = np.random.default_rng(seed)
        life = Life.of(kind, dice)
        assert life.opened.current is not None
        expected = life.opened.reference if kind.expected is None else kind.expected
        mean = (expected + life.opened.tolerated - kind.smaller) / (kind.greater - kind.smaller)
        later = rows(kind, dice, BAD_UNTIL, cyclic(mean, 60))
        found += any(
            episode.recovered_at is not None and episode.alarmed_at < BAD_UNTIL
            for episode in life.alarm(pl.concat([life.bad, later])).episodes
        )
    return found


@pytest.mark.parametrize("task", TASKS)
def test_a_good_night_is_no_recovery(task: Task) -> None:
    assert false_all_clears(KINDS[task], 20) <= 20 * ALPHA


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_false_all_clear_is_as_rare_as_a_false_alarm(task: Task) -> None:
    found = false_all_clears(KINDS[task], LIVES)
    sys.stdout.write(f"{task}: of {LIVES} lives beyond what is tolerated, {found} with a false all-clear\n")
    assert found <= ALPHA * LIVES


@pytest.mark.parametrize("task", TASKS)
def test_a_recovery_ends_the_episode(task: Task) -> None:
    kind, needed = KINDS[task], []
    for seed in range(10):
        dice = np.random.default_rng(seed)
        life = Life.of(kind, dice)
        later = rows(kind, dice, BAD_UNTIL, cyclic(kind.usual, 120))
        episode = life.alarm(pl.concat([life.bad, later])).episodes[0]
        if episode.recovered_at is not None:
            needed.append((episode.recovered_at - BAD_UNTIL) / DAY * PER_DAY)
    sys.stdout.write(f"{task}: all-clear in {len(needed)} of 10 lives, after {np.median(needed):,.0f} rows\n")
    assert len(needed) >= 9
