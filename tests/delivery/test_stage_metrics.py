"""From answers, failures and outcomes to the numbers that decide."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace
from tests.delivery.live import DELAY, FAILURES, PLAN, ROW_EVERY, SCORING, frame_of
from tests.delivery.situation import START, rollout

from everfit.core.rollout import Rollout, StageEvidence
from everfit.delivery.scoring import Scoring
from everfit.delivery.stage_metrics import stage_evidence
from everfit.delivery.state_machine import advance

DICE = np.random.default_rng(0)
ROWS = 600
PLACES = np.arange(ROWS)
LOGIT = DICE.normal(0, 1.2, ROWS)
TRUTH = (DICE.random(ROWS) < 1 / (1 + np.exp(-LOGIT))).astype(float)
GOOD = 1 / (1 + np.exp(-LOGIT))
LATE = START + ROWS * ROW_EVERY + 2 * DELAY


def look(
    *answers: pl.DataFrame, at: Rollout, failures: pl.DataFrame = FAILURES, scoring: Scoring = SCORING, now: Any = LATE
) -> StageEvidence:
    return stage_evidence(pl.concat(answers), failures, rollout=at, plan=PLAN, scoring=scoring, now=now)


def both(challenger: Any, champion: Any = GOOD) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Each in its place while the challenger is in shadow."""
    return frame_of(4, "shadow", PLACES, challenger, TRUTH), frame_of(3, "champion", PLACES, champion, TRUTH)


def failed(version: int, route: str, rows: int) -> pl.DataFrame:
    data = {"version": [version] * rows, "route": [route] * rows, "recorded_at": [START] * rows}
    return pl.DataFrame(data | {"problem": ["KeyError: 'blue'"] * rows}, schema=FAILURES.schema)


def test_only_what_belongs_to_the_rollout_counts() -> None:
    shadow, champion = both(GOOD)
    found = look(
        shadow, champion, shadow.head(50).with_columns(route=pl.lit("named")),
        shadow.head(50).with_columns(version=pl.lit(7, pl.Int64)),
        shadow.head(50).with_columns(recorded_at=pl.col("recorded_at") - timedelta(days=30)),
        at=rollout(), failures=pl.concat([failed(4, "shadow", 3), failed(4, "named", 9), failed(3, "champion", 1)]),
    )  # fmt: skip
    assert found.requests == ROWS + 3
    assert (found.challenger.rows, found.challenger.failed, found.challenger.problem) == (
        ROWS + 3,
        3,
        "KeyError: 'blue'",
    )
    assert (found.champion.rows, found.champion.failed) == (ROWS + 1, 1)
    # Requests are those of the stage, failures those of the whole rollout.
    later = replace(rollout("shadow", 1), entered_at=START + 500 * ROW_EVERY)
    again = look(shadow, champion, at=later, failures=failed(4, "shadow", 3))
    assert (again.requests, again.challenger.failed, again.challenger.rows) == (100, 3, ROWS + 3)


def test_rows_count_for_the_stage_of_their_route() -> None:
    """Until the workers have loaded the canary's deployment, its version still predicts in shadow."""
    shadow, champion = both(GOOD)
    at = replace(rollout("canary", 1), share=0.5)
    found = look(shadow, champion, at=at, failures=failed(4, "shadow", 3))
    assert (found.requests, found.challenger.timed, found.distance) == (0, 0, None)
    assert found.challenger.rows == ROWS + 3, "of the whole rollout"
    canary = shadow.head(70).with_columns(route=pl.lit("canary"), id=pl.format("c-{}", "id"))
    mixed = look(shadow, canary, champion, at=at, failures=failed(4, "canary", 2))
    assert mixed.requests == 72
    assert mixed.distance is not None
    assert (mixed.distance.rows, mixed.distance.champion_rows) == (70, ROWS)
    # As the champion, it predicts in shadow until it is loaded as such.
    assert look(shadow, champion, at=rollout("watching", 1)).requests == 0


def test_answers_that_are_no_numbers_are_counted_and_scored_by_nobody() -> None:
    found = look(*both(np.where(PLACES < 5, np.nan, GOOD)), at=rollout())
    assert found.challenger.non_finite == 5
    assert found.comparisons[0].rows == ROWS - 5


def test_a_request_has_one_latency_however_many_rows() -> None:
    shadow, champion = both(GOOD)
    shadow = shadow.with_columns(row=pl.lit(PLACES % 2), latency_us=pl.lit(PLACES * 10))
    found = look(shadow, champion, at=rollout())
    assert found.challenger.timed == ROWS // 2
    assert found.challenger.p99_ms == pytest.approx(5.92, abs=0.03)
    assert found.challenger.p99_low_ms is not None
    assert found.challenger.p99_low_ms < 5.92
    few = look(*(each.head(90) for each in (shadow, champion)), at=rollout())
    assert (few.challenger.p99_ms, few.challenger.p99_low_ms) == (None, None)


def test_how_differently_they_answer_is_bounded_by_the_numbers_of_rows() -> None:
    alike = look(*both(GOOD), at=rollout()).distance
    assert alike is not None
    assert (alike.distance, alike.at_least) == (0.0, 0.0)
    constant = look(*both(np.full(ROWS, 0.5)), at=rollout()).distance
    assert constant is not None
    assert constant.spread == 0.0
    high = look(*both(0.9 + GOOD / 10), at=rollout()).distance
    assert high is not None
    assert 0.5 < high.at_least < high.distance
    shadow, champion = both(GOOD)
    assert look(shadow.head(49), champion, at=rollout()).distance is None


def test_outcomes_count_once_they_are_known_and_old_enough() -> None:
    pairs = both(GOOD)
    soon = START + 100 * ROW_EVERY + DELAY
    assert look(*pairs, at=rollout(), now=soon).comparisons[0].rows == 101
    waits = Scoring(task="binary", metric="log_loss", wait=DELAY + 50 * ROW_EVERY)
    assert look(*pairs, at=rollout(), now=soon, scoring=waits).comparisons[0].rows == 51
    assert look(*pairs, at=rollout(), now=START).comparisons == ()


def test_what_is_worse_is_said_to_be_so_only_beyond_doubt() -> None:
    (worse,) = look(*both(1 - GOOD), at=rollout()).comparisons
    assert worse.paired
    assert worse.at_least is not None
    assert 0 < worse.at_least < worse.worse_by
    (same,) = look(*both(GOOD), at=rollout()).comparisons
    assert (same.worse_by, same.at_least) == (0.0, None)
    (better,) = look(*both(GOOD, 1 - GOOD), at=rollout()).comparisons
    assert better.at_least is not None
    assert better.at_least < 0


def test_pairs_are_pairs_whoever_of_the_two_is_the_champion() -> None:
    shadow, champion = both(1 - GOOD)
    watched = shadow.with_columns(route=pl.lit("champion")), champion.with_columns(route=pl.lit("shadow"))
    at = rollout("watching", 1)
    assert look(*watched, at=at).comparisons[0] == look(shadow, champion, at=rollout()).comparisons[0]


def test_what_is_worse_since_its_promotion_is_taken_back_however_good_it_was_before() -> None:
    """Better in shadow, on 400 rows, and worse on the 200 since then: on all of them together no worse."""
    shadow, champion = (frame.head(400) for frame in both(GOOD, 1 - GOOD))
    late, usual = (frame.tail(200) for frame in both(1 - GOOD, GOOD))
    watched = late.with_columns(route=pl.lit("champion")), usual.with_columns(route=pl.lit("shadow"))
    at = replace(rollout("watching", 1), entered_at=START + 400 * ROW_EVERY)
    found = look(shadow, champion, *watched, at=at)
    whole, since = found.comparisons
    assert (whole.rows, whole.watched, since.rows, since.watched) == (600, False, 200, True)
    assert whole.worse_by < 0
    assert since.at_least is not None
    assert since.at_least > 0
    step = advance(at, PLAN, found, LATE)
    assert step.state == "rolled_back"
    assert "on 200 rows that both predicted since the promotion" in step.sentence


def test_chance_gives_a_canary_its_rows() -> None:
    canary = DICE.random(ROWS) < 0.5
    at = replace(rollout("canary", 1), share=0.5)

    def arms(said: Any, **scoring: Any) -> StageEvidence:
        return look(
            frame_of(4, "canary", PLACES[canary], said[canary], TRUTH[canary]),
            frame_of(3, "champion", PLACES[~canary], GOOD[~canary], TRUTH[~canary]),
            at=at, scoring=Scoring(task="binary", **scoring),
        )  # fmt: skip

    (worse,) = arms(1 - GOOD, metric="log_loss").comparisons
    assert not worse.paired
    assert worse.rows == canary.sum()
    assert worse.at_least is not None
    assert 0 < worse.at_least < worse.worse_by
    (same,) = arms(GOOD, metric="log_loss").comparisons
    assert same.at_least is not None
    assert same.at_least < 0
    assert arms(1 - GOOD, metric="roc_auc").comparisons == ()


@pytest.mark.parametrize("alpha", [0.025])
def test_a_canary_that_is_as_good_is_seldom_said_to_be_worse(alpha: float) -> None:
    from everfit.delivery.comparison import compare_arms

    at, said = replace(rollout("canary", 1), share=0.2), 0
    for seed in range(200):
        dice = np.random.default_rng(seed)
        chance = dice.beta(1, 2, 3_000)
        truth, canary = (dice.random(3_000) < chance).astype(float), dice.random(3_000) < 0.2
        place = np.arange(3_000)
        answers = pl.concat(
            frame_of(version, route, place[own], chance[own], truth[own])
            for version, route, own in ((4, "canary", canary), (3, "champion", ~canary))
        )
        found = compare_arms(SCORING.mature(answers, START + timedelta(days=90)), at, SCORING, alpha=alpha)
        assert found is not None
        # The bound never falls, so that the last look says what any look would have said.
        said += found.at_least is not None and found.at_least > 0
    assert said <= 200 * alpha


@pytest.mark.parametrize("metric", ["roc_auc", "accuracy", "brier"])
def test_every_metric_has_a_loss_that_stands_for_it(metric: str) -> None:
    scoring = Scoring(task="binary", metric=metric)
    (found,) = look(*both(1 - GOOD), at=rollout(), scoring=scoring).comparisons
    assert found.worse_by > 0.1
    assert found.at_least is not None
    assert found.at_least > 0


def test_regressions_and_classes_are_compared_as_well() -> None:
    number = Scoring(task="regression", metric="mae")
    (found,) = look(*both(LOGIT + 5, LOGIT), at=rollout(), scoring=number).comparisons
    assert found.loss == "absolute error"
    assert found.at_least is not None
    assert found.at_least > 0
    classes = Scoring(task="multiclass", metric="log_loss", classes=("no", "yes"))
    sides = [
        each.with_columns(
            (1 - pl.col("prediction")).alias("prediction.no"), pl.col("prediction").alias("prediction.yes")
        )
        for each in both(1 - GOOD)
    ]
    (found,) = look(*sides, at=rollout(), scoring=classes).comparisons
    (binary,) = look(*both(1 - GOOD), at=rollout()).comparisons
    assert found.worse_by == pytest.approx(binary.worse_by)
