"""Trainers on data frames: what people bring from a notebook is trained, packaged and answers as in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from tests.training.world import START, make_frame
from xgboost import XGBClassifier

import everfit as ef
from everfit.artifact.infer import infer_schema
from everfit.artifact.manifest import Lineage
from everfit.artifact.package import Package, open_package
from everfit.artifact.package_writer import write_package
from everfit.artifact.provenance import CodeVersion, library_versions
from everfit.artifact.signing import Signer, Trust
from everfit.core.columns import LABEL
from everfit.core.errors import DefinitionError, InvalidRequestError, TrainingError
from everfit.training.labels import learnable
from everfit.training.trainer import encode_rows, fit

SIGNER = Signer(bytes(range(32)))
TEXTS = ("shop", "channel")


def table(count: int = 500) -> pl.DataFrame:
    random = np.random.default_rng(3)
    size, shop = random.gamma(2.0, 2.0, count), random.integers(0, 4, count)
    at = [START + timedelta(minutes=10 * number) for number in range(count)]
    return pl.DataFrame(
        {
            "id": range(count),
            "at": at,
            "known": [each + timedelta(hours=1) for each in at],
            "size": [None if gap < 0.1 else value for gap, value in zip(random.random(count), size, strict=True)],
            "items": random.integers(1, 9, count),
            "express": random.random(count) < 0.5,
            "shop": [f"shop number{each}" for each in shop],
            "channel": pl.Series([f"{each}" for each in random.integers(0, 3, count)], dtype=pl.Categorical),
            "late": size / 2 + shop - 3 + random.normal(size=count) > 0,
        }
    )


def model_of(trainer: Callable[..., Any], **options: Any) -> ef.Model:
    names = ["size", "items", "express", "shop", "channel", "at"]
    rows = table()
    model = ef.Model(
        "late",
        task="binary",
        events=ef.Events(ef.Source("rows", function=lambda: rows, timestamp="at"), id="id"),
        request=names,
        features=names,
        label=ef.Label("late", known_at="known"),
    )
    model.trainer(**options)(trainer)
    return model


def packaged(model: ef.Model, folder: Path) -> tuple[Any, Package, pl.DataFrame]:
    frame = make_frame(model)
    rows = learnable(model, frame, by=frame.manifest.as_of)
    schema = infer_schema(model, frame, rows)
    untuned = {name: parameter.untuned for name, parameter in model.learner.space.items()}
    fitted = fit(model, schema, encode_rows(schema, rows), untuned, seed=1)
    lineage = Lineage(
        frame=frame.manifest,
        params={},
        seed=1,
        code=CodeVersion(commit="", dirty=False, digest=""),
        libraries=library_versions(),
    )
    write_package(folder / "p", fitted=fitted, model=model, rows=rows, lineage=lineage, signer=SIGNER)
    return fitted, open_package(folder / "p", trust=Trust([SIGNER.key])), rows.drop(LABEL)


def one_hot(X: Any, y: Any, categorical: Any) -> Any:
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), categorical),
            ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["size", "items", "express"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression()).fit(X, y)


def selected(X: Any, y: Any) -> Any:
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=["object", "string"])),
            ("number", SimpleImputer(strategy="median"), make_column_selector(dtype_include="number")),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=500)).fit(X, y)


def bag_of_words(X: Any, y: Any) -> Any:
    return make_pipeline(ColumnTransformer([("words", CountVectorizer(), "shop")]), LogisticRegression()).fit(X, y)


def from_dtype(X: Any, y: Any) -> Any:
    numbers = ["size", "items", "express", "shop", "channel"]
    columns = ColumnTransformer([("keep", "passthrough", numbers)], verbose_feature_names_out=False)
    trees = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype")
    return make_pipeline(columns.set_output(transform="pandas"), trees).fit(X, y)


class WithoutTime:
    """A user's own class: leaves out the instants, which gradient boosting libraries do not take."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> WithoutTime:
        self.estimator.fit(X.drop(columns="at"), y)
        return self

    def predict_proba(self, X: Any) -> Any:
        return self.estimator.predict_proba(X.drop(columns="at"))


def lightgbm(X: Any, y: Any) -> Any:
    return WithoutTime(LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1)).fit(X, y)


def xgboost(X: Any, y: Any) -> Any:
    return WithoutTime(XGBClassifier(n_estimators=5, enable_categorical=True, n_jobs=1)).fit(X, y)


def catboost(X: Any, y: Any, categorical: Any) -> Any:
    trees = CatBoostClassifier(
        iterations=5, cat_features=categorical, verbose=0, allow_writing_files=False, thread_count=1
    )
    return WithoutTime(trees).fit(X, y)


def on_polars(X: Any, y: Any) -> Any:
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["shop", "channel"]),
            ("number", SimpleImputer(), ["size", "items"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression()).fit(X, y)


@pytest.mark.filterwarnings("ignore:.*select_dtypes:Warning")
@pytest.mark.parametrize(
    ("trainer", "options"),
    [
        (one_hot, {"frame": "pandas"}),
        (selected, {"frame": "pandas"}),
        (bag_of_words, {"frame": "pandas"}),
        (from_dtype, {"frame": "pandas", "categories": ["shop"]}),
        (lightgbm, {"frame": "pandas", "categories": ["shop"]}),
        (xgboost, {"frame": "pandas", "categories": ["shop"]}),
        (catboost, {"frame": "pandas"}),
        (catboost, {"frame": "pandas", "categories": TEXTS}),
        (catboost, {"frame": "pandas", "categories": ["shop", "items"]}),
        (lightgbm, {"frame": "pandas", "categories": ["shop", "items"]}),
        (on_polars, {"frame": "polars"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "+".join(value),
)
def test_what_people_bring_from_a_notebook_answers_as_in_memory(
    trainer: Callable[..., Any], options: dict[str, Any], tmp_path: Path
) -> None:
    fitted, package, rows = packaged(model_of(trainer, **options), tmp_path)
    expected = fitted.predict(package.transform(rows))
    predictor, pipeline = package.predictor(), package.row_pipeline()
    assert package.manifest.accepts_missing
    assert np.ptp(expected) > 0.1
    assert np.array_equal(predictor.predict(package.transform(rows)), expected)
    requests = rows.select(package.schema.names).with_columns(pl.col("channel").cast(pl.String)).rows()[:5]
    alone = [predictor.predict_one(pipeline.encode(row, pipeline.used(row, ()))) for row in requests]
    together = predictor.predict(pipeline.encode_all(requests, [()] * len(requests)))
    assert np.allclose(alone, expected[:5], rtol=0, atol=1e-12)
    assert np.allclose(together, expected[:5], rtol=0, atol=1e-12)
    odd = [(None,) * 6, (1e15, -(10**15), None, "unseen", "unseen", requests[0][5])]
    assert np.isfinite(predictor.predict(pipeline.encode_all(odd, [(), ()]))).all()
    assert all(np.isfinite(predictor.predict_one(pipeline.encode(row, ()))) for row in odd)


def test_x_is_a_frame_with_names_and_dtypes_that_a_trainer_may_change() -> None:
    seen: list[Any] = []

    def train(X: Any, y: Any, names: Any, categorical: Any) -> Any:
        seen.append((X.copy(), names, categorical))
        X["more"] = 1.0
        return HistGradientBoostingClassifier(max_iter=2).fit(X[["items"]], y)

    model = model_of(train, frame="pandas", categories=["shop"])
    frame = make_frame(model)
    rows = learnable(model, frame, by=frame.manifest.as_of)
    schema = infer_schema(model, frame, rows)
    encoded = encode_rows(schema, rows)
    with pytest.raises(TrainingError, match="must predict the rows"):
        fit(model, schema, encoded, {}, seed=1)
    X, names, categorical = seen[0]
    assert list(X.columns) == names == list(model.request)
    assert categorical == ["shop", "channel"]
    assert isinstance(X["shop"].dtype, pd.CategoricalDtype)
    assert list(X["shop"].cat.categories) == [f"shop number{each}" for each in range(4)]
    assert str(X["at"].dtype) == "datetime64[us, UTC]"
    assert "more" not in encoded.X.columns


def test_a_trainer_that_raises_is_shown_with_its_line_and_what_x_is() -> None:
    def train(X: Any, y: Any) -> Any:
        return make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["shop"])]), LogisticRegression()).fit(X, y)

    line = train.__code__.co_firstlineno + 1
    message = rf"at test_frames.py line {line}\. X is a float64 matrix of shape \(\d+, 5\); with @model.trainer\(frame="
    model = model_of(train)
    frame = make_frame(model)
    rows = learnable(model, frame, by=frame.manifest.as_of).drop("at")
    frame = type(frame)(data=frame.data, features=frame.features[:5], request=frame.request, manifest=frame.manifest)
    schema = infer_schema(model, frame, rows.with_columns(frame.data["at"].head(len(rows))))
    with pytest.raises(TrainingError, match=message):
        fit(model, schema, encode_rows(schema, rows), {}, seed=1)


def test_a_frame_that_an_estimator_does_not_take_is_described_with_a_remedy() -> None:
    def train(X: Any, y: Any) -> Any:
        return LGBMClassifier(n_estimators=2, verbose=-1).fit(X.drop(columns="at"), y)

    model = model_of(train, frame="pandas")
    frame = make_frame(model)
    rows = learnable(model, frame, by=frame.manifest.as_of)
    schema = infer_schema(model, frame, rows)
    with pytest.raises(TrainingError, match=r"X is a pandas DataFrame .*shop str.*categories=\['shop'\]"):
        fit(model, schema, encode_rows(schema, rows), {}, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": "spark"}, "frame must be matrix, pandas or polars"),
        ({"categories": ["shop"]}, "categories may be given for a data frame"),
        ({"frame": "pandas", "categories": "shop"}, "categories must be a list"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        model_of(lambda X, y: None, **options)


@pytest.mark.parametrize(("name", "message"), [("shape", "must name features"), ("size", "must be text or an integer")])
def test_categories_that_cannot_be_are_refused(name: str, message: str) -> None:
    model = model_of(lambda X, y: None, frame="pandas", categories=[name])
    frame = make_frame(model)
    with pytest.raises(DefinitionError, match=message):
        infer_schema(model, frame, frame.data)


def test_a_number_beyond_float32_is_refused_where_the_estimator_refuses_it(tmp_path: Path) -> None:
    def forest(X: Any, y: Any) -> Any:
        numbers = ColumnTransformer([("numbers", SimpleImputer(), ["size", "items"])])
        return make_pipeline(numbers, RandomForestClassifier(3, random_state=0)).fit(X, y)

    _, package, rows = packaged(model_of(forest, frame="pandas"), tmp_path)
    predictor = package.predictor()
    values = list(rows.select(package.schema.names).row(0))
    assert np.isfinite(predictor.predict_one(values))
    values[0] = 1e300
    with pytest.raises(InvalidRequestError, match=r"numbers between -3\.4e\+38 and 3\.4e\+38.*size"):
        predictor.predict_one(values)
