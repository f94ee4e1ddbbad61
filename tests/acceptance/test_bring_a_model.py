"""What people bring by the real command: a pipeline on named columns, with code in the project's own modules."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.acceptance.shop import AS_OF, DEFINITIONS, everfit, make_project, orders
from tests.acceptance.test_walk import post, service

PIPELINE = """
import functools

import polars as pl
from own_steps import clocks
from own_steps.scaling import Scaled
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import everfit as ef

orders = ef.Source("orders", path="orders.parquet", timestamp="ordered_at")
shop = ef.Entity("shop", dtype=pl.String)
record = ef.FeatureView(
    "record", entities=[shop], source=orders, features=["weekday", "late"], timestamp="delivered_at", ttl="2d"
)


@ef.on_demand
def clock(request):
    return pl.DataFrame(
        {"hour": [None if at is None else clocks.hour_of(at) for at in request["ordered_at"]]},
        schema={"hour": pl.Int64},
    )


late = ef.Model(
    "late",
    task="binary",
    events=ef.Events(orders, id="order_id"),
    request=["shop", "distance_km", "ordered_at"],
    features=[record, clock, "shop", "distance_km", "ordered_at"],
    label=ef.Label("late", known_at="delivered_at"),
)


class Doubled(Scaled):
    factor = 2.0


def add(values, by):
    return values + by


@late.trainer(frame="pandas", C=ef.Float(0.1, 10.0, log=True))
def train(X, y, C, categorical):
    assert str(X.dtypes["ordered_at"]) == "datetime64[us, UTC]", X.dtypes
    assert categorical == ["record.weekday", "shop"], categorical
    numbers = make_pipeline(SimpleImputer(), Doubled(), FunctionTransformer(functools.partial(add, by=1.0)))
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), categorical),
            ("number", numbers, ["distance_km", "clock.hour", "record.late"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression(C=C, max_iter=1000)).fit(X, y)
"""

MODULES = {
    "own_steps/__init__.py": "",
    "own_steps/clocks.py": "from own_steps import numbers\n\n\ndef hour_of(at):\n    return numbers.whole(at.hour)\n",
    "own_steps/numbers.py": "def whole(value):\n    return int(value)\n",
    "own_steps/scaling.py": """
from sklearn.base import BaseEstimator, TransformerMixin


class Scaled(TransformerMixin, BaseEstimator):
    factor = 1.0

    def fit(self, X, y=None):
        self.is_fitted_ = True
        return self

    def transform(self, X):
        from own_steps.numbers import whole

        return X * whole(self.factor)
""",
}

ROWS: list[dict[str, Any]] = [
    {"shop": "shop-3", "distance_km": 4.5, "ordered_at": "2026-01-21T20:30:00Z"},
    {"shop": "never seen", "distance_km": None, "ordered_at": "2026-01-21T20:30:00Z"},
    {"shop": None, "distance_km": 1e12, "ordered_at": None},
]


def bring(folder: Path, definitions: str, **modules: str) -> Path:
    weekdays = pl.Enum(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    rows = orders().with_columns(weekday=pl.col("ordered_at").dt.strftime("%a").cast(weekdays))
    make_project(folder, definitions=definitions, data=rows)
    for name, text in modules.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.slow
def test_a_pipeline_on_named_columns_is_served_from_anywhere_without_the_project(tmp_path: Path) -> None:
    folder = bring(tmp_path / "project", PIPELINE, **MODULES)
    for words in (("check",), ("train", *AS_OF), ("promote",), ("features", "materialize")):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer.err + answer.out
        if words[0] == "train":
            assert "on pandas data frames" in answer.out
    assert "on pandas data frames" in everfit(folder, "doctor").out
    with service(folder) as url:
        status, before = post(f"{url}/predict/late", {"inputs": ROWS, "id": "three"})
        alone = [post(f"{url}/predict/late", {"inputs": [row]})[1]["predictions"][0] for row in ROWS]
    assert status == 200, before
    assert before["predictions"] == pytest.approx(alone, abs=1e-12)
    assert len(set(before["predictions"])) == 3
    again = everfit(folder, "reproduce")
    assert again.code == 0, again.out
    assert "bit for bit" in again.out
    assert "clock.hour" in everfit(folder, "explain", before["ids"][0]).out

    elsewhere = tmp_path / "elsewhere" / "served"
    shutil.copytree(folder, elsewhere, ignore=shutil.ignore_patterns("*.py", "own_steps", "__pycache__"))
    for package in (folder / ".everfit").rglob("project"):
        shutil.copytree(package, elsewhere / package.relative_to(folder), dirs_exist_ok=True)
    shutil.rmtree(folder)
    with service(elsewhere) as url:
        assert post(f"{url}/predict/late", {"inputs": ROWS})[1]["predictions"] == before["predictions"]


ON_POLARS = """
@late.trainer(frame="polars")
def train(X, y):
    codes = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((codes, {text}), (SimpleImputer(), ["distance_km"]))
    return make_pipeline(columns, LogisticRegression()).fit(X, y)
"""


@pytest.mark.slow
def test_models_on_frames_and_on_a_matrix_are_held_against_each_other(tmp_path: Path) -> None:
    imports = (
        "from sklearn.compose import make_column_transformer\nfrom sklearn.impute import SimpleImputer\n"
        "from sklearn.linear_model import LogisticRegression\nfrom sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import OneHotEncoder\n"
    )
    before, trainer = DEFINITIONS.split("@late.trainer", 1)
    weak, matrix, strong = (
        imports + before + text
        for text in (ON_POLARS.format(text=[]), "@late.trainer" + trainer, ON_POLARS.format(text=["shop"]))
    )
    folder = bring(tmp_path / "project", weak)
    compared = []
    for definitions in (weak, matrix, strong):
        (folder / "shop.py").write_text(definitions)
        answer = everfit(folder, "train", *AS_OF, "--trials", "0", "--json")
        gates = {verdict["gate"]: verdict for verdict in answer.json["report"]["verdicts"]}
        compared.append(gates["beats_champion"]["outcome"])
        if definitions is not strong:
            assert answer.code == 0, answer.out
            assert everfit(folder, "promote").code == 0
    assert compared[:2] == ["skipped", "passed"]
    assert compared[2] in {"passed", "failed"}


def test_a_trainer_that_raises_is_shown_with_its_line_and_what_x_is(tmp_path: Path) -> None:
    text = PIPELINE.replace('frame="pandas", ', "").replace('    assert str(X.dtypes["ordered_at"])', "    #")
    text = text.replace("    assert categorical ==", "    #").replace(
        '"distance_km", "ordered_at"],\n    label', '"distance_km"],\n    label'
    )
    folder = bring(tmp_path / "project", text, **MODULES)
    answer = everfit(folder, "train", *AS_OF, "--trials", "0")
    line = next(number for number, words in enumerate(text.splitlines(), 1) if ".fit(X, y)" in words)
    assert answer.code == 1
    assert "Traceback" not in answer.err
    message = " ".join(answer.err.split())
    assert f"at shop.py line {line}" in message
    assert "Specifying the columns using strings is only supported for dataframes" in message
    assert "X is a float64 matrix of shape" in message
    assert 'with @model.trainer(frame="pandas") it is a DataFrame with names' in message
