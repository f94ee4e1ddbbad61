"""Rows are weighted by their age in everything that is fitted, and in nothing that is scored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from tests.training.world import QUICK, START, frame_of, make_frame, make_model

import everfit as ef
from everfit.artifact.manifest import Lineage
from everfit.artifact.provenance import CodeVersion
from everfit.core.columns import TIME
from everfit.core.errors import DefinitionError
from everfit.training.labels import MOST_HALF_LIVES, WEIGHT, judging, learnable
from everfit.training.refit import fit_without_holdout, refit, refit_as_recorded
from everfit.training.split import split_by_time
from everfit.training.train import train

DAY = timedelta(days=1)
AS_OF = START + 100 * DAY
PROBE = np.array([[1.0, 0.0]])

events = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 40), st.booleans()), min_size=60, max_size=200)


@given(events, st.integers(30, 100), st.integers(1, 60), st.sampled_from(["known", "weighted"]))
def test_a_weight_halves_with_every_half_life(
    drawn: list[tuple[int, int, bool]], day: int, half_life: int, labels: Any
) -> None:
    ordered = sorted(drawn)
    at, known = ([START + (a + more * d) * DAY for a, d, _ in ordered] for more in (0, 1))
    frame = frame_of(make_model(), at, known, [label for _, _, label in ordered], as_of=AS_OF)
    by = START + day * DAY
    plain = learnable(make_model(labels=labels), frame, by=by, before=by)
    aged_model = make_model(labels=labels, half_life=f"{half_life}d")
    aged = learnable(aged_model, frame, by=by, before=by)
    assert aged.drop(WEIGHT).equals(plain.drop(WEIGHT))
    if aged.height:
        ages = ((aged[TIME][-1] - aged[TIME]).dt.total_microseconds() / 86.4e9 / half_life).clip(0, MOST_HALF_LIVES)
        assert (aged[WEIGHT] / plain[WEIGHT]).to_numpy() == pytest.approx(0.5 ** ages.to_numpy(), rel=1e-12)
        assert aged[WEIGHT][-1] == plain[WEIGHT][-1]
        assert aged[WEIGHT].min() > 0  # type: ignore[operator]
    assert judging(aged_model, frame, by=AS_OF, since=by).equals(judging(make_model(), frame, by=AS_OF, since=by))


def test_very_old_rows_keep_some_weight() -> None:
    at = [START, START + 500 * DAY]
    frame = frame_of(make_model(), at, at, [True, False], as_of=START + 501 * DAY)
    rows = learnable(make_model(half_life="1h"), frame, by=START + 501 * DAY)
    assert rows[WEIGHT].to_list() == [0.5**MOST_HALF_LIVES, 1.0]


def fitting(**more: Any) -> tuple[ef.Model, list[NDArray[np.float64]]]:
    """A model with a tuned trainer, and the weights that it was given, fit by fit."""
    model, weights = make_model(**more), []

    @model.trainer(strength=ef.Float(0.1, 10.0, log=True))
    def fit(X: Any, y: Any, weight: NDArray[np.float64], strength: float) -> Any:
        weights.append(weight)
        return LogisticRegression(C=strength).fit(np.nan_to_num(X), y, sample_weight=weight)

    return model, weights


def test_tuning_refit_reproduction_and_the_champions_refit_weight_by_age() -> None:
    model, weights = fitting(half_life="12h")
    frame = make_frame(model)
    candidate = train(model, frame, settings=QUICK)
    assert candidate.half_life == "12h"
    parts = split_by_time(model, frame, holdout_share=0.2, validation_share=0.2)
    trials, last = weights[:-1], weights[-1]
    assert len(trials) == QUICK.trials
    # The newest row of each fit counts fully, one that is a day older a quarter: 144 rows, one every ten minutes.
    assert all(np.array_equal(weight, parts.train[WEIGHT].to_numpy()) for weight in trials)
    assert np.array_equal(last, parts.learning[WEIGHT].to_numpy())
    assert all((weight[-1], weight[-145]) == (1.0, pytest.approx(0.25)) for weight in weights)
    assert (parts.validation[WEIGHT] == 1.0).all()
    assert (parts.holdout[WEIGHT] == 1.0).all()
    lineage = Lineage(
        frame=frame.manifest, params=dict(candidate.params), seed=candidate.seed, libraries={}, half_life="12h",
        code=CodeVersion(commit="", dirty=False, digest=""), split=candidate.split,
    )  # fmt: skip
    again = refit_as_recorded(model, frame, lineage)
    assert np.array_equal(weights[-1], last)
    assert np.array_equal(again.predict(PROBE), candidate.fitted.predict(PROBE))
    fit_without_holdout(model, frame, lineage, features=frame.features, holdout_from=candidate.split.holdout_from)
    assert np.array_equal(weights[-1], last)
    whole = refit(model, frame, candidate).predict(PROBE)
    assert len(weights[-1]) == frame.data.height > len(last)
    recorded = msgspec.structs.replace(lineage, refitted=True)
    assert np.array_equal(refit_as_recorded(model, frame, recorded).predict(PROBE), whole)


def test_the_newest_rows_decide_what_is_learnt() -> None:
    at = [START + number * DAY / 10 for number in range(1_000)]
    labels = [number % 10 == 0 if number < 500 else number % 10 != 0 for number in range(1_000)]
    rates = {}
    for half_life in (None, "5d"):
        model, _ = fitting(half_life=half_life)
        frame = frame_of(model, at, at, labels, as_of=AS_OF)
        rates[half_life] = float(train(model, frame, settings=QUICK).fitted.predict(PROBE)[0])
    # Of 800 rows that are learnt from, 500 are of the time in which one in ten was true, and 300 of nine in ten.
    assert rates[None] == pytest.approx(0.4, abs=0.02)
    assert rates["5d"] > 0.85


def test_a_trainer_must_take_the_weights() -> None:
    message = r"with half_life, the trainer must have the argument weight, but got 'fit'\. .*sample_weight=weight"
    with pytest.raises(DefinitionError, match=message):

        @make_model(half_life="30d").trainer()
        def fit(X: Any, y: Any) -> Any: ...


@pytest.mark.parametrize("half_life", ["30", "-1d", "", 30, True])
def test_a_half_life_is_a_duration(half_life: Any) -> None:
    with pytest.raises(DefinitionError, match=r"model late: half_life must be a duration such as '30d', but got .*"):
        make_model(half_life=half_life)


def test_by_default_all_rows_count_alike() -> None:
    model, weights = fitting()
    candidate = train(model, make_frame(model), settings=QUICK)
    assert candidate.half_life == ""
    assert all((weight == 1.0).all() for weight in weights)
