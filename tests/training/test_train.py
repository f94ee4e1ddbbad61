from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from tests.training.world import QUICK, make_frame, make_model

import everfit as ef
from everfit.artifact.encode import encode_frame
from everfit.core.errors import TrainingError
from everfit.core.records import Trial
from everfit.core.settings import TrainingSettings
from everfit.training.candidate import Candidate
from everfit.training.evidence import baseline_prediction, gather_evidence
from everfit.training.refit import fit_without_holdout, refit
from everfit.training.split import holdout_rows
from everfit.training.train import train
from everfit.training.trainer import Pruned

RATE = ef.Float(0.01, 0.5, log=True)


def boosted(task: Any = "binary", **more: Any) -> ef.Model:
    model = make_model(task, **more)

    @model.trainer(rate=RATE)
    def fit(X: Any, y: Any, rate: float) -> Any:
        # Early stopping without a random_state draws from NumPy's global generator.
        kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
        return kind(learning_rate=rate, max_iter=20, early_stopping=True).fit(X, y)

    return model


def learn(model: ef.Model, settings: TrainingSettings = QUICK, **more: Any) -> Candidate:
    return train(model, make_frame(model), settings=settings, **more)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_task_is_tuned_fitted_and_scored(task: Any) -> None:
    candidate = learn(boosted(task, slices=["shop", "size"]))
    assert len(candidate.trials) == 3
    assert candidate.trials[0].params["rate"] == pytest.approx(RATE.untuned)
    own = candidate.scores[0]
    assert own.metric == candidate.metric
    assert own.low <= own.value <= own.high
    assert own.rows == candidate.split.holdout_rows
    quartiles = [each for each in candidate.slices if each.column == "size"]
    assert sum(each.score.rows for each in quartiles) <= own.rows


def test_training_repeats_to_the_bit() -> None:
    model = boosted()
    rows = make_frame(model).data
    once, twice = (learn(model).fitted for _ in range(2))
    matrix = encode_frame(once.schema, rows)
    assert (once.predict(matrix) == twice.predict(matrix)).all()


def test_training_repeats_in_another_process() -> None:
    script = (
        "from tests.training.test_train import boosted, learn;"
        "print(repr(learn(boosted()).scores[0].value), repr(learn(boosted()).params['rate']))"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1


def test_the_best_of_the_last_study_is_tried_again() -> None:
    model = boosted()
    first = learn(model, TrainingSettings(trials=6, bootstrap=100))
    best = min(trial.value for trial in first.trials if trial.value is not None)
    again = learn(model, TrainingSettings(trials=2, bootstrap=100, seed=5), warm_start=first.trials)
    assert min(trial.value for trial in again.trials if trial.value is not None) <= best + 0.05
    assert again.trials[1].params in [trial.params for trial in first.trials]


def test_trials_that_no_longer_fit_the_space_are_left_out() -> None:
    stale = Trial(number=0, params={"rate": 9.0}, value=0.0, state="complete", duration_s=1.0)
    other = Trial(number=1, params={"depth": 3}, value=0.0, state="complete", duration_s=1.0)
    candidate = learn(boosted(), warm_start=[stale, other])
    assert all(0.01 <= float(trial.params["rate"] or 0) <= 0.5 for trial in candidate.trials)


def test_the_time_budget_ends_the_search() -> None:
    candidate = learn(boosted(), TrainingSettings(trials=1000, seconds=0.5, bootstrap=100))
    assert 1 <= len(candidate.trials) < 200


def test_trials_run_side_by_side() -> None:
    candidate = learn(boosted(), TrainingSettings(trials=4, workers=2, bootstrap=100))
    assert [trial.number for trial in candidate.trials] == [0, 1, 2, 3]


def test_without_trials_the_defaults_are_taken() -> None:
    candidate = learn(boosted(), TrainingSettings(trials=0, bootstrap=100))
    assert candidate.params == {"rate": RATE.untuned}
    assert candidate.trials == ()


def test_a_failed_trial_is_borne_and_a_pruned_one_noted() -> None:
    model = make_model()

    @model.trainer(kind=ef.Choice(["good", "bad", "hopeless"]))
    def fit(X: Any, y: Any, kind: str, trial: Any) -> Any:
        if kind == "bad":
            raise RuntimeError("bad luck")
        if kind == "hopeless":
            trial.report(1, 99.0)
            raise Pruned
        return HistGradientBoostingClassifier(max_iter=5).fit(X, y)

    candidate = learn(model, TrainingSettings(trials=15, bootstrap=100))
    states = {trial.params["kind"]: trial.state for trial in candidate.trials}
    assert states["good"] == "complete"
    assert states.get("bad", "failed") == "failed"
    assert states.get("hopeless", "pruned") == "pruned"
    assert len(states) > 1
    assert candidate.params == {"kind": "good"}


def test_if_every_trial_fails_the_first_cause_is_told() -> None:
    model = make_model()

    @model.trainer(rate=RATE)
    def fit(X: Any, y: Any, rate: float) -> Any:
        raise RuntimeError("out of luck")

    with pytest.raises(TrainingError, match="RuntimeError: out of luck"):
        learn(model)


def test_a_refit_learns_from_the_holdout_and_a_fair_opponent_does_not() -> None:
    model = boosted()
    frame, candidate = make_frame(model), learn(model)
    matrix = encode_frame(candidate.fitted.schema, holdout_rows(frame.data, candidate.split))
    everything = refit(model, frame, candidate).predict(matrix)
    assert not np.array_equal(everything, candidate.fitted.predict(matrix))


def test_evidence_is_aligned_with_the_holdout() -> None:
    model = boosted()
    frame, candidate = make_frame(model), learn(model)
    evidence = gather_evidence(
        model,
        frame,
        candidate,
        settings=QUICK,
        freshness=(),
        predict_packaged=lambda: np.zeros(0),
        answer=lambda row: np.zeros(1),
    )
    rows = candidate.split.holdout_rows
    assert evidence.holdout.height == len(evidence.truth) == len(evidence.predicted) == len(evidence.baseline) == rows
    once, twice = evidence.fit_again()
    assert len(once) == rows
    assert (once == twice).all()


def test_the_baseline_knows_only_the_training_labels() -> None:
    assert baseline_prediction("binary", np.array([0, 0, 0, 1]), rows=2, classes=2).tolist() == [0.25, 0.25]
    assert baseline_prediction("regression", np.array([1.0, 2.0, 9.0]), rows=1, classes=0).tolist() == [2.0]
    shares = baseline_prediction("multiclass", np.array([0, 1, 1, 2]), rows=1, classes=3)
    assert shares.tolist() == [[0.25, 0.5, 0.25]]


def test_the_opponent_is_fitted_on_what_the_candidate_could_learn() -> None:
    from everfit.artifact.manifest import Lineage
    from everfit.artifact.provenance import CodeVersion

    model = boosted()
    frame, candidate = make_frame(model), learn(model)
    lineage = Lineage(
        frame=frame.manifest,
        params=dict(candidate.params),
        seed=candidate.seed,
        code=CodeVersion(commit="", dirty=False, digest=""),
        libraries={},
        refitted=True,
    )
    opponent = fit_without_holdout(
        model, frame, lineage, features=frame.features, holdout_from=candidate.split.holdout_from
    )
    matrix = encode_frame(opponent.schema, holdout_rows(frame.data, candidate.split))
    assert np.array_equal(opponent.predict(matrix), candidate.fitted.predict(matrix))
    # The definition has a feature more by now: the recipe keeps to its own.
    fewer = fit_without_holdout(
        model, frame, lineage, features=frame.features[:1], holdout_from=candidate.split.holdout_from
    )
    assert fewer.schema.names == frame.features[:1]
    assert not np.array_equal(fewer.predict(matrix[:, :1]), opponent.predict(matrix))
