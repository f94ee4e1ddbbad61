from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from tests.training.world import QUICK, START, frame_of, make_frame, make_model

import everfit as ef
from everfit.artifact.manifest import Lineage
from everfit.artifact.provenance import CodeVersion
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import DefinitionError, EmptyWindowError
from everfit.core.evidence import ID, TrainingFrame
from everfit.training.labels import WEIGHT, judging, labels_to_come, learnable
from everfit.training.refit import refit, refit_as_recorded
from everfit.training.train import train

DAY = timedelta(days=1)
AS_OF = START + 100 * DAY
RATE = 0.3


def slow_no(task: Any = "binary", *, seed: int = 0, size: int = 6000) -> tuple[TrainingFrame, pl.Series]:
    """A hundred days in which "yes" is known after five days on average, "no" after twenty; with the whole truth."""
    random = np.random.default_rng(seed)
    asked = np.sort(random.uniform(0, 100, size))
    yes = random.random(size) < RATE
    known = asked + random.exponential(np.where(yes, 5.0, 20.0))
    named = {"binary": yes, "multiclass": np.where(yes, "yes", "no"), "regression": yes * 1.0}[task]
    at, later = ([START + float(day) * DAY for day in days] for days in (asked, known))
    return frame_of(make_model(task), at, later, named.tolist(), as_of=AS_OF), pl.Series(yes)


def model_of(labels: Any, task: Any = "binary") -> ef.Model:
    return make_model(task, labels=labels)


events = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 40), st.booleans()), min_size=60, max_size=200)


@given(events, st.integers(30, 100))
def test_known_and_weighted_are_the_same_rows_and_mature_some_of_them(
    drawn: list[tuple[int, int, bool]], day: int
) -> None:
    ordered = sorted(drawn)
    at, known = ([START + (a + more * d) * DAY for a, d, _ in ordered] for more in (0, 1))
    frame = frame_of(make_model(), at, known, [label for _, _, label in ordered], as_of=AS_OF)
    by = START + day * DAY
    all_known = learnable(model_of("known"), frame, by=by, before=by)
    weighted = learnable(model_of("weighted"), frame, by=by, before=by)
    assert (all_known[WEIGHT] == 1.0).all()
    assert (weighted[WEIGHT] >= 1.0).all()
    assert weighted.drop(WEIGHT).equals(all_known.drop(WEIGHT))
    assert (all_known[KNOWN_AT] <= by).all()
    try:
        mature = learnable(model_of("mature"), frame, by=by, before=by)
    except EmptyWindowError:
        return  # too few to tell: refused, which another test looks at
    assert set(mature[ID]) <= set(all_known[ID])
    # All of an age, or none: none is left out for its class.
    assert mature.equals(all_known.filter(pl.col(TIME) <= mature[TIME].max()))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_labels_that_come_at_once_weigh_exactly_one(task: Any) -> None:
    frame = make_frame(make_model(task))
    at_once = TrainingFrame(
        data=frame.data.with_columns(pl.col(TIME).alias(KNOWN_AT)), features=frame.features, request=frame.request,
        manifest=frame.manifest,
    )  # fmt: skip
    by = frame.manifest.as_of
    model = model_of("weighted", task)
    assert (learnable(model, at_once, by=by)[WEIGHT] == 1.0).all()
    assert (judging(model, at_once, by=by, since=START)[WEIGHT] == 1.0).all()
    assert labels_to_come(model, at_once, by=by, since=START) == 0.0


def share_of_yes(rows: pl.DataFrame) -> tuple[float, float]:
    """As known, and as weighted."""
    yes = rows[LABEL].cast(pl.String).is_in(["yes", "true", "1.0"]).to_numpy()
    return float(yes.mean()), float(np.average(yes, weights=rows[WEIGHT].to_numpy()))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_weighted_early_labels_are_as_all_will_be(task: Any) -> None:
    raw, weighted, judged = [], [], []
    for seed in range(10):
        frame, truth = slow_no(task, seed=seed)
        model, since = model_of("weighted", task), AS_OF - 30 * DAY
        young = (frame.data[TIME] >= since).to_numpy()
        final = float(truth.to_numpy()[young].mean())
        held_out = judging(model, frame, by=AS_OF, since=since)
        early, mended = share_of_yes(held_out)
        raw.append(early - final)
        judged.append(mended - final)
        weighted.append(share_of_yes(learnable(model, frame, by=AS_OF))[1] - float(truth.to_numpy().mean()))
        to_come = labels_to_come(model, frame, by=AS_OF, since=since)
        assert to_come == pytest.approx(young.sum() - held_out.height, rel=0.05)
    assert np.mean(raw) > 0.1
    assert abs(np.mean(judged)) < 0.015
    assert abs(np.mean(weighted)) < 0.01


def test_mature_labels_are_those_of_an_age_by_which_the_slow_class_is_known() -> None:
    frame, _ = slow_no()
    mature = learnable(model_of("mature"), frame, by=AS_OF)
    newest = mature[TIME].max()
    assert isinstance(newest, datetime)
    assert (AS_OF - newest) / DAY == pytest.approx(20 * np.log(10), rel=0.1)
    assert mature.height > 0.9 * frame.data.filter(pl.col(TIME) <= newest).height


def test_too_few_mature_labels_are_refused_with_their_number() -> None:
    frame, _ = slow_no()
    with pytest.raises(EmptyWindowError, match=r"90% of each class are known after .* days.*0 of \d+ labelled rows"):
        learnable(model_of("mature"), frame, by=AS_OF, before=START)
    with pytest.raises(EmptyWindowError, match=r"label delays must be known.*\d+ labels"):
        learnable(model_of("mature"), frame, by=START + timedelta(hours=5))


def fitting(labels: Any) -> tuple[ef.Model, list[Any]]:
    model, weights = model_of(labels), []

    @model.trainer(strength=ef.Float(0.1, 10.0, log=True))
    def fit(X: Any, y: Any, weight: Any, strength: float) -> Any:
        weights.append(weight)
        return LogisticRegression(C=strength).fit(np.nan_to_num(X), y, sample_weight=weight)

    return model, weights


def test_the_trainer_gets_the_weights_and_so_learns_the_rate_to_come() -> None:
    frame, _ = slow_no()
    rates = {}
    for labels in ("known", "weighted"):
        model, weights = fitting(labels)
        candidate = train(model, frame, settings=QUICK)
        rates[labels] = float(candidate.fitted.predict(np.array([[1.0, 0.0]]))[0])
        assert all((weight == 1.0).all() == (labels == "known") for weight in weights)
        assert candidate.labels == labels
    assert rates["weighted"] == pytest.approx(RATE, abs=0.02)
    assert rates["known"] > rates["weighted"] + 0.03


@pytest.mark.parametrize("labels", ["mature", "weighted"])
def test_what_is_recorded_is_fitted_again_to_the_bit(labels: Any) -> None:
    frame, _ = slow_no(size=20_000)
    model, weights = fitting(labels)
    candidate = train(model, frame, settings=QUICK)
    lineage = Lineage(
        frame=frame.manifest, params=dict(candidate.params), seed=candidate.seed, libraries={}, labels=labels,
        code=CodeVersion(commit="", dirty=False, digest=""), split=candidate.split,
    )  # fmt: skip
    last = weights[-1]
    probe = np.array([[1.0, 0.0]])
    again = refit_as_recorded(model, frame, lineage)
    assert np.array_equal(weights[-1], last)
    assert np.array_equal(again.predict(probe), candidate.fitted.predict(probe))
    whole = refit(model, frame, candidate).predict(probe)
    assert np.array_equal(
        refit_as_recorded(model, frame, msgspec.structs.replace(lineage, refitted=True)).predict(probe), whole
    )


def test_a_trainer_that_does_not_take_weights_is_told_how() -> None:
    model = model_of("weighted")
    with pytest.raises(DefinitionError, match="sample_weight=weight"):
        model.trainer()(lambda X, y: None)
    with pytest.raises(DefinitionError, match="known, mature or weighted"):
        model_of("all")
