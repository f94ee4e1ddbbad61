"""Runtimes: accepted only where they compute what the estimator computes, and dropped for whatever they raise."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from everfit.artifact.equivalence import make_reference, relative_difference
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.input_limits import FLOAT32_MAX
from everfit.artifact.probes import make_probes
from everfit.artifact.runtime_choice import RuntimeChoice, choose_runtime
from everfit.artifact.runtimes.catalogue import ACCELERATED
from everfit.artifact.runtimes.native import NativePredictor
from everfit.artifact.runtimes.onnx import ONNX
from everfit.artifact.runtimes.runtime import Runtime
from everfit.artifact.runtimes.treelite import TREELITE, TreelitePredictor
from everfit.artifact.schema import Column, InputSchema
from everfit.artifact.split_points import find_split_points
from everfit.core.errors import PackageError
from everfit.core.evidence import Task

COLUMNS = 4
ROWS = 800


def the_schema(task: Task, classes: int = 2) -> InputSchema:
    return InputSchema(
        model="late",
        task=task,
        request=(),
        event_time="",
        lookups=(),
        computations=(),
        columns=tuple(Column(name=f"c{place}", kind="number") for place in range(COLUMNS)),
        classes=() if task == "regression" else tuple(range(classes)),
    )


def the_rows(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows whose values are so close to each other that float32 hardly tells them apart, and a score."""
    random = np.random.default_rng(seed)
    matrix = np.round(random.normal(1_000, 0.01, (ROWS, COLUMNS)), 4)
    return matrix, (matrix - 1_000).sum(axis=1) * 100 + random.normal(0, 0.5, ROWS)


def the_labels(task: Task, score: NDArray[np.float64], classes: int) -> NDArray[Any]:
    return score if task == "regression" else np.digitize(score, np.linspace(-1, 1, classes + 1)[1:-1])


def prove(
    folder: Path, estimator: Any, task: Task = "binary", *, classes: int = 2, scale: float = 1.0
) -> tuple[RuntimeChoice, Fitted, NDArray[np.float64]]:
    matrix, score = the_rows()
    schema = the_schema(task, classes)
    estimator.fit(matrix, the_labels(task, score * (scale if task == "regression" else 1), classes))
    native = NativePredictor("fitted", estimator, schema)
    native.predict(matrix[:1])
    fitted = Fitted(estimator=estimator, schema=schema, predict=native.predict, arithmetic=native.arithmetic)
    held_out = the_rows(seed=1)[0]
    folder.mkdir(exist_ok=True)
    reference, limits = make_reference(fitted, held_out)
    return choose_runtime(fitted, reference, limits, held_out, folder), fitted, held_out


@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce")
@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        (RandomForestClassifier(30, random_state=0), "binary"),
        (RandomForestClassifier(30, random_state=0), "multiclass"),
        (ExtraTreesRegressor(30, random_state=0), "regression"),
        (GradientBoostingClassifier(n_estimators=20, random_state=0), "binary"),
        (HistGradientBoostingClassifier(max_iter=20, random_state=0), "binary"),
    ],
)
def test_treelite_computes_what_scikit_learn_computes_around_every_threshold(
    tmp_path: Path, estimator: Any, task: Task
) -> None:
    classes = 3 if task == "multiclass" else 2
    choice, fitted, held_out = prove(tmp_path, estimator, task, classes=classes)
    assert choice.runtime == "treelite", choice.proofs
    predictor = TREELITE.load(tmp_path / TREELITE.file, fitted.schema)
    for rows in make_probes(fitted.estimator, fitted.schema, held_out, largest=FLOAT32_MAX):
        try:
            expected = fitted.predict(rows)
        except ValueError:
            continue  # GradientBoosting takes no NaN
        assert relative_difference(predictor.predict(rows), expected, task) < 1e-9
        alone = np.array([predictor.predict_one(row.tolist()) for row in rows[:64]])
        assert relative_difference(alone, expected[:64], task) < 1e-9


def test_a_runtime_that_compares_in_float64_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everfit.artifact.runtimes.treelite._compare_as_float32", lambda model: None)
    choice, _, _ = prove(tmp_path, RandomForestClassifier(30, random_state=0))
    assert choice.runtime == choice.native == "skops"
    assert [proof.equal for proof in choice.proofs if proof.runtime == "treelite"] == [False]


def boosted(task: Task, library: str) -> Any:
    import lightgbm
    import xgboost

    kinds: dict[str, dict[bool, Any]] = {
        "xgboost": {True: xgboost.XGBRegressor, False: xgboost.XGBClassifier},
        "lightgbm": {True: lightgbm.LGBMRegressor, False: lightgbm.LGBMClassifier},
    }
    more = {"verbose": -1} if library == "lightgbm" else {}
    return kinds[library][task == "regression"](n_estimators=40, n_jobs=1, **more)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 2), ("multiclass", 4), ("regression", 2)])
def test_boosters_are_stored_in_their_own_form_and_accelerated(
    tmp_path: Path, library: str, task: Task, classes: int
) -> None:
    choice, _, _ = prove(tmp_path, boosted(task, library), task, classes=classes, scale=1e6)
    assert choice.native == library
    equal = {proof.runtime: proof.row_us or 0.0 for proof in choice.proofs if proof.equal}
    assert {"lightgbm": "lightgbm-fast", "xgboost": "treelite"}[library] in equal, choice.proofs
    assert choice.runtime == min(equal, key=equal.__getitem__)


def test_split_points_are_found_in_every_library() -> None:
    matrix, score = the_rows()
    estimators = [
        RandomForestClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
        boosted("binary", "lightgbm"),
        boosted("binary", "xgboost"),
        make_pipeline(SimpleImputer(), RandomForestClassifier(5, random_state=0)),
    ]
    for estimator in estimators:
        columns, points = find_split_points(estimator.fit(matrix, score > 0), columns=COLUMNS)
        assert set(columns.tolist()) == set(range(COLUMNS)), estimator
        assert 999 < points.min() < points.max() < 1001, estimator


@pytest.mark.parametrize(("last", "task"), [(LogisticRegression(), "binary"), (LinearRegression(), "regression")])
def test_a_pipeline_with_an_imputer_is_packaged(
    tmp_path: Path, last: Any, task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    choice, _, _ = prove(tmp_path, make_pipeline(SimpleImputer(), last), task)
    assert choice.native == "skops"
    for proof in choice.proofs:
        lines = [record for record in caplog.records if f"runtime {proof.runtime} " in record.getMessage()]
        assert len(lines) == (not proof.equal)


def test_a_tree_behind_a_scaler_is_left_to_scikit_learn(tmp_path: Path) -> None:
    """Its thresholds are not those of a column, so that no proof could look beside them."""
    choice, _, _ = prove(tmp_path, make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)))
    assert [proof.runtime for proof in choice.proofs] == ["skops"]


class OddError(Exception):
    """Of a library that Everfit does not know."""


def _raise(*_: Any, **__: Any) -> Any:
    raise OddError("the converter's own\nwords in two lines")


@pytest.mark.parametrize(
    ("place", "estimator"),
    [
        ((TREELITE, "save"), RandomForestClassifier(5)),
        ((TREELITE, "load"), RandomForestClassifier(5)),
        ((TreelitePredictor, "predict"), RandomForestClassifier(5)),
        ((TreelitePredictor, "predict_one"), RandomForestClassifier(5)),
        ((ONNX, "save"), LogisticRegression()),
        ((ONNX, "load"), LogisticRegression()),
    ],
)
def test_a_runtime_that_raises_is_dropped_with_one_line(
    tmp_path: Path,
    place: tuple[Any, str],
    estimator: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes: dict[str, Any] = {place[1]: _raise}
    kind, method = place
    if isinstance(kind, Runtime):
        broken = dataclasses.replace(kind, **changes)
        rest = tuple(runtime for runtime in ACCELERATED if runtime is not kind)
        monkeypatch.setattr("everfit.artifact.runtime_choice.ACCELERATED", (broken, *rest))
    else:
        monkeypatch.setattr(kind, method, _raise)
    with caplog.at_level(logging.WARNING):
        choice, _, _ = prove(tmp_path, estimator)
    assert choice.runtime == choice.native == "skops"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["estimator.skops"]
    dropped = [proof for proof in choice.proofs if not proof.equal]
    assert [proof.remark for proof in dropped] == ["OddError: the converter's own"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"model late: runtime {dropped[0].runtime} is not used: OddError: the converter's own"]


def test_an_estimator_that_cannot_be_stored_is_refused_in_one_sentence(tmp_path: Path) -> None:
    class Locked(LinearRegression):  # type: ignore[misc]
        def __getstate__(self) -> Any:
            raise OddError("it holds an open connection")

    with pytest.raises(PackageError, match="OddError: it holds an open connection"):
        prove(tmp_path, Locked(), "regression")


class Column1:
    """Returns values as a column, as neural networks do, and in float32."""

    def fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> Column1:
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.nan_to_num(X[:, :1]).astype(np.float32)


def test_values_in_a_column_and_in_float32_are_taken(tmp_path: Path) -> None:
    choice, fitted, held_out = prove(tmp_path, Column1(), "regression")
    assert choice.runtime == "pickle"
    assert {proof.arithmetic for proof in choice.proofs if proof.equal} == {"float32"}
    assert fitted.predict(held_out).shape == (ROWS,)


@pytest.mark.parametrize(("unit", "allowed"), [(1e-9, False), (1.0, False), (1e9, True)])
def test_a_difference_counts_in_units_of_the_predictions(unit: float, allowed: bool) -> None:
    expected = np.linspace(1, 2, 50) * unit
    found = relative_difference(expected + (1e-7 * unit if allowed else 1e-5 * unit), expected, "regression")
    assert (found < 1e-6) is allowed
    assert relative_difference(expected * 0, expected * 0, "regression") == 0
    assert relative_difference(expected, expected[:, None], "regression") == np.inf


def refuses(make: Callable[[], Any]) -> float | None:
    matrix, score = the_rows()
    schema = the_schema("binary")
    estimator = make().fit(matrix, score > 0)
    fitted = Fitted(estimator=estimator, schema=schema, predict=NativePredictor("fitted", estimator, schema).predict)
    return make_reference(fitted, matrix)[1].largest


def test_the_largest_number_that_an_estimator_takes_is_found() -> None:
    assert refuses(lambda: RandomForestClassifier(3)) == FLOAT32_MAX
    assert refuses(lambda: HistGradientBoostingClassifier(max_iter=3)) is None


def test_a_predictor_gives_back_what_its_library_holds(tmp_path: Path) -> None:
    """A service swaps versions for months."""
    _, fitted, held_out = prove(tmp_path, ExtraTreesRegressor(100, random_state=0), "regression")
    file = tmp_path / TREELITE.file

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    def load() -> None:
        TREELITE.load(file, fitted.schema).predict_one(held_out[0].tolist())

    load()
    before = resident()
    for _ in range(20):
        load()
    assert resident() - before < 5 * file.stat().st_size
