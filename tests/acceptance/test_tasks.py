"""Every task by the real command: from training through the gates to outcomes and monitoring."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.acceptance.shop import everfit, make_project
from tests.acceptance.test_walk import service

DEFINITIONS = """
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor

import everfit as ef

orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
shop = ef.Entity("shop", dtype=pl.String)


def define(name, task, label, build):
    model = ef.Model(
        name,
        task=task,
        events=ef.Events(orders, id="order_id"),
        request=["shop", "distance_km", "ordered_at"],
        features=["shop", "distance_km"],
        label=ef.Label(label, known_at="delivered_at"),
    )

    @model.trainer()
    def train(X, y, seed):
        return build(seed).fit(X, y)

    return model


late = define("late", "binary", "late", lambda seed: XGBClassifier(n_estimators=20, n_jobs=1, random_state=seed))
pace = define(
    "pace", "multiclass", "pace", lambda seed: HistGradientBoostingClassifier(max_iter=20, random_state=seed)
)
stars = define(
    "stars",
    "multiclass",
    "stars",
    lambda seed: RandomForestClassifier(40, min_samples_leaf=10, random_state=seed),
)
flag = define(
    "flag", "multiclass", "late", lambda seed: make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
)
grams = define("grams", "regression", "grams", lambda seed: XGBRegressor(n_estimators=20, n_jobs=1, random_state=seed))
labels_only = define("labels_only", "binary", "late", lambda seed: RidgeClassifier())
"""
RUNTIMES = {"late": "treelite", "pace": "treelite", "stars": "treelite", "flag": "skops", "grams": "treelite"}
CLASSES = {"pace": {"slow", "fast", "middling"}, "stars": {"5", "-1", "3"}, "flag": {"false", "true"}}
TOLD = {"late": "late", "pace": "pace", "stars": "stars", "flag": "late", "grams": "grams"}
"""Column of the outcome, by model."""
NEW = 300


def the_orders(now: datetime, rows: int = 2_000) -> pl.DataFrame:
    """Orders until now; the classes of text and of numbers appear in neither alphabetical nor numerical order."""
    random = np.random.default_rng(0)
    distance, shops = random.gamma(2.0, 2.0, rows), random.integers(0, 8, rows)
    score = distance + random.normal(0, 1, rows)
    place = np.digitize(score, [3.0, 5.0])
    ordered = [now - timedelta(minutes=15) * (rows - number) for number in range(rows)]
    return pl.DataFrame(
        {
            "order_id": [f"order-{number}" for number in range(rows)],
            "shop": [f"shop-{number}" for number in shops],
            "distance_km": distance,
            "ordered_at": ordered,
            "delivered_at": [instant + timedelta(minutes=5) for instant in ordered],
            "late": random.random(rows) < 1 / (1 + np.exp(3 - distance / 2 - shops / 4)),
            "pace": np.array(["slow", "fast", "middling"])[place],
            "stars": np.array([5, -1, 3])[place],
            "grams": score * 100_000,
        }
    ).with_columns(pl.col("ordered_at", "delivered_at").dt.cast_time_unit("us"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    """A project of six models, and orders that none of them has seen."""
    data = the_orders(datetime.now(UTC))
    folder = make_project(
        tmp_path_factory.mktemp("tasks") / "shop", definitions=DEFINITIONS, data=data.head(len(data) - NEW)
    )
    asked = data.tail(NEW)
    fields = asked.select("order_id", "shop", "distance_km", "ordered_at")
    nothing = fields.head(1).with_columns(
        pl.lit("nothing").alias("order_id"), *(pl.lit(None).alias(name) for name in fields.columns[1:])
    )
    pl.concat([nothing, fields], how="vertical_relaxed").write_parquet(folder / "asked.parquet")
    asked.write_parquet(folder / "outcomes.parquet")
    return folder, asked


def done(folder: Path, *words: str) -> Any:
    answer = everfit(folder, *words, "--json")
    assert answer.code == 0, answer.err + answer.out
    return answer.json


@pytest.mark.slow
def test_every_task_goes_from_training_to_monitoring(project: tuple[Path, pl.DataFrame]) -> None:
    folder, asked = project
    trained_until = str(asked["ordered_at"].min().isoformat())  # type: ignore[union-attr]
    for model, runtime in RUNTIMES.items():
        verdicts = {
            verdict["gate"]: verdict
            for verdict in done(folder, "train", model, "--as-of", trained_until)["report"]["verdicts"]
        }
        assert {name for name, verdict in verdicts.items() if verdict["outcome"] == "failed"} == set()
        assert f"the runtime {runtime} " in verdicts["reload"]["sentence"]
        done(folder, "promote", model)
    with service(folder) as url:
        for model, told in TOLD.items():
            out = folder / f"{model}.jsonl"
            done(folder, "predict", model, "asked.parquet", "--id", "order_id", "--out", str(out), "--url", url)
            predictions = [json.loads(line) for line in out.read_text().splitlines()]
            assert len(predictions) == NEW + 1
            for prediction in (predictions[0], predictions[-1]):
                require_form(model, prediction)
            reported = done(
                folder, "outcomes", model, "outcomes.parquet", "--id", "order_id", "--value", told, "--url", url
            )
            assert reported["outcomes"] == NEW
    for model in TOLD:
        report = done(folder, "monitor", model)
        assert [finding for finding in report["findings"] if finding["severity"] == "critical"] == []
        assert report["champion"] == 1
        assert report["versions"][0]["overall"]["labelled"] == NEW
    stored = [done(folder, "explain", "order-1990", "--json")]
    assert stored


def require_form(model: str, line: dict[str, Any]) -> None:
    """A prediction has the task's form, also where everything is missing."""
    values = {name: value for name, value in line.items() if name.startswith("prediction")}
    if model in CLASSES:
        assert set(values) == {f"prediction.{name}" for name in CLASSES[model]}
        assert sum(values.values()) == pytest.approx(1, abs=1e-5)
    else:
        assert list(values) == ["prediction"]
        assert math.isfinite(values["prediction"])


def test_a_classifier_without_probabilities_is_refused_in_one_sentence(project: tuple[Path, pl.DataFrame]) -> None:
    folder, asked = project
    answer = everfit(folder, "train", "labels_only", "--as-of", str(asked["ordered_at"].min().isoformat()))  # type: ignore[union-attr]
    assert answer.code == 1
    assert "RidgeClassifier predicts labels and has no predict_proba" in " ".join(answer.err.split())
    assert "CalibratedClassifierCV" in answer.err
    assert "Traceback" not in answer.err
