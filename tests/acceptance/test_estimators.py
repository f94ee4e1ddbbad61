"""The field's estimators, discovered and not listed: trained, packaged, registered, promoted, served, and equal to the
estimator itself on rows with missing and unseen values.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
import pytest
import sklearn.utils
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, StandardScaler
from tests.acceptance.shop import make_project

import everfit as ef
from everfit.artifact.encode import encode_frame
from everfit.artifact.equivalence import relative_difference
from everfit.artifact.package import open_package
from everfit.artifact.schema import Column, InputSchema
from everfit.commands.rollouts import promote
from everfit.core.errors import TrainingError
from everfit.core.evidence import Task
from everfit.features.history import build_frame
from everfit.loop.candidate_pipeline import train_candidate
from everfit.serving.inference.data_plane import PredictionResponse
from everfit.serving.worker import Worker
from everfit.system import System
from everfit.training.trainer import adapt
from everfit.wiring import open_system, open_worker

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 500
ASKED = 1_000
LABELS: Mapping[Task, str] = {"binary": "late", "multiclass": "pace", "regression": "minutes"}

SKIPPED = {
    "CCA": "it needs several targets",
    "ClassifierChain": "it needs several targets",
    "IsotonicRegression": "it takes a single column",
    "MultiOutputClassifier": "it needs several targets",
    "MultiOutputRegressor": "it needs several targets",
    "MultiTaskElasticNet": "it needs several targets",
    "MultiTaskElasticNetCV": "it needs several targets",
    "MultiTaskLasso": "it needs several targets",
    "MultiTaskLassoCV": "it needs several targets",
    "PLSCanonical": "it needs several targets",
    "RegressorChain": "it needs several targets",
}
"""Those that cannot fit a task by their nature; all others that scikit-learn has must work."""

LABELS_ONLY = {
    "LinearSVC", "NuSVC", "OneVsOneClassifier", "OutputCodeClassifier", "PassiveAggressiveClassifier", "Perceptron",
    "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier", "SVC",
}  # fmt: skip
"""Classifiers that predict labels and no probabilities; refused in a sentence with the remedy."""

ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "AdaBoostClassifier": {"n_estimators": 5},
    "AdaBoostRegressor": {"n_estimators": 5},
    "ExtraTreesClassifier": {"n_estimators": 20},
    "ExtraTreesRegressor": {"n_estimators": 20},
    "FixedThresholdClassifier": {"estimator": LogisticRegression()},
    "GaussianProcessRegressor": {"alpha": 1.0},
    "GradientBoostingClassifier": {"n_estimators": 20},
    "GradientBoostingRegressor": {"n_estimators": 20},
    "HistGradientBoostingClassifier": {"max_iter": 20},
    "HistGradientBoostingRegressor": {"max_iter": 20},
    "MLPClassifier": {"hidden_layer_sizes": (5,), "max_iter": 50},
    "MLPRegressor": {"hidden_layer_sizes": (5,), "max_iter": 50},
    "OneVsRestClassifier": {"estimator": LogisticRegression()},
    "OneVsOneClassifier": {"estimator": LogisticRegression()},
    "OutputCodeClassifier": {"estimator": LogisticRegression()},
    "PLSRegression": {"n_components": 1},
    "RadiusNeighborsClassifier": {"radius": 1e30},
    "RadiusNeighborsRegressor": {"radius": 1e30},
    "RandomForestClassifier": {"n_estimators": 20},
    "RandomForestRegressor": {"n_estimators": 20},
    "SelfTrainingClassifier": {"estimator": LogisticRegression()},
    "StackingClassifier": {"estimators": [("one", LogisticRegression())], "cv": 2},
    "StackingRegressor": {"estimators": [("one", LinearRegression())], "cv": 2},
    "TunedThresholdClassifierCV": {"estimator": LogisticRegression(), "cv": 2},
    "VotingClassifier": {"estimators": [("one", LogisticRegression())], "voting": "soft"},
    "VotingRegressor": {"estimators": [("one", LinearRegression())]},
}
"""What an estimator cannot do without, and sizes that keep the test short."""

BEFORE: Mapping[str, Callable[[], Any]] = {
    "CategoricalNB": lambda: KBinsDiscretizer(4, encode="ordinal"),
    "ComplementNB": MinMaxScaler,
    "MultinomialNB": MinMaxScaler,
}
"""A step for estimators that take only some numbers; the others' columns are standardised."""


class Nearest:
    """A class of the user's own, which returns its values as a column."""

    def fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> Nearest:
        self.X, self.y = np.nan_to_num(X[:50]), np.asarray(y[:50], dtype=np.float64)
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        distances = np.abs(np.nan_to_num(X)[:, None, :] - self.X[None]).sum(axis=2)
        return np.asarray(self.y[distances.argmin(axis=1)][:, None])


def from_scikit_learn(kind: Any, name: str) -> Callable[..., Any]:
    def build(X: Any, y: Any, seed: int) -> Any:
        estimator = kind(**ARGUMENTS.get(name, {}))
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=seed)
        if estimator.__sklearn_tags__().input_tags.allow_nan and name not in BEFORE:
            return estimator.fit(X, y)
        return make_pipeline(SimpleImputer(), BEFORE.get(name, StandardScaler)(), estimator).fit(X, y)

    return build


def boosted(library: str, task: Task) -> Callable[..., Any]:
    """The libraries of gradient boosting by their own interfaces, the boosters' own and early stopping included."""
    regression = task == "regression"

    def build(X: Any, y: Any, seed: int) -> Any:
        if library == "catboost":
            import catboost

            kind = catboost.CatBoostRegressor if regression else catboost.CatBoostClassifier
            return kind(iterations=20, verbose=False, allow_writing_files=False, random_seed=seed, thread_count=1).fit(
                X, y
            )
        if library.startswith("xgboost"):
            return _xgboost(library, X, y, seed)
        import lightgbm

        if library == "lightgbm":
            return (lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier)(
                n_estimators=20, verbose=-1, n_jobs=1, random_state=seed
            ).fit(X, y)
        objective = {"binary": {}, "multiclass": {"num_class": 3}, "regression": {}}[task]
        settings = {"objective": task, "verbose": -1, "num_threads": 1, "seed": seed} | objective
        return lightgbm.train(settings, lightgbm.Dataset(X, y), 20)

    def _xgboost(library: str, X: Any, y: Any, seed: int) -> Any:
        import xgboost

        if library == "xgboost booster":
            objective = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}
            settings = {"objective": objective[task], "nthread": 1, "seed": seed}
            more = {"num_class": 3} if task == "multiclass" else {}
            half = len(X) // 2
            return xgboost.train(
                settings | more, xgboost.DMatrix(X[:half], y[:half]), 60, early_stopping_rounds=3, verbose_eval=False,
                evals=[(xgboost.DMatrix(X[half:], y[half:]), "later")],
            )  # fmt: skip
        kind = xgboost.XGBRegressor if regression else xgboost.XGBClassifier
        if library == "xgboost":
            return kind(n_estimators=20, n_jobs=1, random_state=seed).fit(X, y)
        half = len(X) // 2
        stopping = kind(n_estimators=200, n_jobs=1, random_state=seed, early_stopping_rounds=3)
        return stopping.fit(X[:half], y[:half], eval_set=[(X[half:], y[half:])], verbose=False)

    return build


def cases() -> Iterator[Any]:
    """Every estimator with the task that it fits: one of each kind, and each of these three by those that boost."""
    for position, (name, kind) in enumerate(sklearn.utils.all_estimators("classifier")):
        task: Task = (
            "binary"
            if position % 2 or name.endswith(("ThresholdClassifier", "ThresholdClassifierCV"))
            else "multiclass"
        )
        if name not in SKIPPED and name not in LABELS_ONLY:
            yield pytest.param(from_scikit_learn(kind, name), task, id=f"{name}-{task}")
    for name, kind in sklearn.utils.all_estimators("regressor"):
        if name not in SKIPPED:
            yield pytest.param(from_scikit_learn(kind, name), "regression", id=name)
    libraries = ("lightgbm", "lightgbm booster", "xgboost", "xgboost booster", "xgboost stopping early", "catboost")
    for library in libraries:
        for task in LABELS:
            yield pytest.param(boosted(library, task), task, id=f"{library}-{task}")
    yield pytest.param(lambda X, y, seed: Nearest().fit(X, y), "regression", id="own class")


def the_orders(rows: int, seed: int, *, gaps: bool) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    distance, weight, shop = random.gamma(2.0, 2.0, rows), random.normal(0, 1, rows), random.integers(0, 5, rows)
    score = distance + weight + shop / 2 + random.normal(0, 0.5, rows)
    frame = pl.DataFrame(
        {
            "order_id": [f"order-{seed}-{number}" for number in range(rows)],
            "shop": [f"shop-{number}" for number in shop],
            "distance_km": distance,
            "weight_kg": weight,
            "express": random.random(rows) < 0.3,
            "late": score > 5,
            "pace": np.array(["slow", "fast", "middling"])[np.digitize(score, [4.0, 6.0])],
            "minutes": 1 + np.abs(score) * 10,
            "ordered_at": [START + timedelta(minutes=10) * number for number in range(rows)],
        }
    ).with_columns(delivered_at=pl.col("ordered_at") + timedelta(minutes=5))
    if not gaps:
        return frame
    place = pl.int_range(pl.len())
    return frame.with_columns(
        pl.when(place % 7 == 0).then(pl.lit("a new shop")).when(place % 11 > 0).then("shop").alias("shop"),
        pl.when(place % 5 > 0).then("distance_km").alias("distance_km"),
        pl.when(place % 13 > 0).then("express").alias("express"),
    )


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    definitions = "import everfit as ef\nfrom everfit.definitions.model import Model\n"
    folder = tmp_path_factory.mktemp("estimators") / "shop"
    make_project(folder, definitions=definitions + _PLACEHOLDER, data=the_orders(ROWS, 0, gaps=False))
    toml = folder / "everfit.toml"
    toml.write_text(toml.read_text().replace("trials = 2", "trials = 0\nbootstrap = 100"))
    return open_system(folder)


_PLACEHOLDER = """
orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
placeholder = ef.Model("placeholder", task="binary", events=ef.Events(orders, id="order_id"),
    request=["shop", "distance_km", "weight_kg", "express", "ordered_at"],
    features=["shop", "distance_km", "weight_kg", "express"], label=ef.Label("late", known_at="delivered_at"))
"""


@pytest.fixture(scope="module")
def worker(system: System) -> Worker:
    return open_worker(system.project.root)


def define(system: System, name: str, task: Task, build: Callable[..., Any], made: list[Any]) -> ef.Model:
    like = system.project.models["placeholder"]
    model = ef.Model(
        name, task=task, events=like.events, request=list(like.request),
        features=["shop", "distance_km", "weight_kg", "express"],
        label=ef.Label(LABELS[task], known_at="delivered_at"),
    )  # fmt: skip

    @model.trainer()
    def train(X: Any, y: Any, seed: int) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.append(build(X, y, seed))
        return made[-1]

    return model


def expected_by(estimator: Any, matrix: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
    """The estimator's own predictions, without any code of Everfit's."""
    if type(estimator).__module__.startswith("xgboost") and not hasattr(estimator, "get_booster"):
        import xgboost

        return np.asarray(estimator.predict(xgboost.DMatrix(matrix)), dtype=np.float64)
    if task == "regression" or not hasattr(estimator, "predict_proba"):
        predicted = np.asarray(estimator.predict(matrix), dtype=np.float64)
        return predicted.reshape(len(matrix)) if task == "regression" else predicted
    return np.asarray(estimator.predict_proba(matrix)[:, 1] if task == "binary" else estimator.predict_proba(matrix))


def ask(worker: Worker, model: str, rows: list[dict[str, Any]]) -> NDArray[np.float64]:
    variants = worker.data_plane.variants(model)
    request = variants.decoder.decode(json.dumps({"inputs": rows}).encode())
    answer: PredictionResponse = worker.data_plane.predict(variants, request, began_s=perf_counter())
    return np.array([list(one.values()) if isinstance(one, dict) else one for one in answer.predictions])


def as_requests(frame: pl.DataFrame) -> list[dict[str, Any]]:
    fields = ["shop", "distance_km", "weight_kg", "express"]
    return [row | {"ordered_at": "2026-01-05T00:00:00Z"} for row in frame.select(fields).to_dicts()]


def chosen() -> list[Any]:
    """Every sixth estimator, and all of them with EVERFIT_TEST_ESTIMATORS."""
    return list(cases())[:: 1 if "EVERFIT_TEST_ESTIMATORS" in os.environ else 6]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("build", "task"), chosen())
def test_an_estimator_is_served_as_it_predicts(
    build: Callable[..., Any],
    task: Task,
    system: System,
    worker: Worker,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    made: list[Any] = []
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.callspec.id).lower()
    model = define(system, name, task, build, made)
    models: Any = system.project.models
    models[name] = model
    frame = build_frame(model, system.reader, as_of=START + timedelta(minutes=10 * ROWS))
    candidate = train_candidate(system, model, frame, champion=None, into=tmp_path)
    # A weak estimator is refused by its quality alone; how it is packaged and served is not judged by that.
    failed = {verdict.gate for verdict in candidate.report.verdicts if verdict.outcome == "failed"}
    assert failed <= {"beats_baseline"}, [verdict.sentence for verdict in candidate.report.verdicts]
    run_id = system.registry.start_run(name, tags={})
    version = system.registry.register(
        name, package=Path(candidate.folder), digest=candidate.digest, run_id=run_id, tags=candidate.tags
    )
    promote(system, name, version.version, actor="a test", reason="to be served")
    worker.load()
    asked = the_orders(ASKED, 1, gaps=True)
    schema = worker.data_plane.variants(name).champion.schema
    expected = expected_by(made[-1], encode_frame(schema, asked), task)
    package = open_package(Path(candidate.folder), trust=system.trust)
    served = ask(worker, name, as_requests(asked))
    assert relative_difference(served, expected, task) <= package.manifest.tolerance
    alone = np.concatenate([ask(worker, name, [row]) for row in as_requests(asked.head(30))])
    assert relative_difference(alone, expected[:30], task) <= max(package.manifest.tolerance, 1e-7)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [name for name, _ in sklearn.utils.all_estimators("classifier") if name in LABELS_ONLY]
)
def test_a_classifier_that_predicts_only_labels_is_refused_with_the_remedy(name: str) -> None:
    random = np.random.default_rng(0)
    matrix = random.random((60, 2))
    schema = InputSchema(
        model="late", task="binary", request=(), event_time="", lookups=(), computations=(), classes=(False, True),
        columns=(Column(name="one", kind="number"), Column(name="two", kind="number")),
    )  # fmt: skip
    estimator = dict(sklearn.utils.all_estimators("classifier"))[name](**ARGUMENTS.get(name, {}))
    with pytest.raises(TrainingError, match=rf"{name} predicts labels.*CalibratedClassifierCV\({name}"):
        adapt(estimator.fit(matrix, matrix[:, 0] > 0.5), schema, place="here")
