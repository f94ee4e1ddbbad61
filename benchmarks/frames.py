"""A scikit-learn pipeline on a pandas data frame: Everfit against FastAPI with pandas, the same pipeline, in one run.

Three columns of text one-hot encoded, six numbers imputed and scaled, logistic regression. Both services have one core
and ``wrk`` another; all columns are sent, a row a request. Everfit checks types and records every answer durably
besides. Both must answer the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import DATA, FOLDER, Figure
from benchmarks.serving_process import free_port, running
from benchmarks.serving_project import EVERFIT
from benchmarks.serving_wrk import Load, ask, require_wrk, write_bodies

ROWS = 4_000
BODIES = 1_000
TEXTS = ("shop", "channel", "weekday")
NUMBERS = tuple(f"n{number}" for number in range(6))

_SETTINGS = """
[project]
name = "frames"
module = "frames_project"

[training]
trials = 0
bootstrap = 100
"""
PIPELINE = f"""
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def fit(X, y):
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), {list(TEXTS)}),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), {list(NUMBERS)}),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(X, y)
"""
_DEFINITIONS = f"""
import everfit as ef
from frames_pipeline import fit

NAMES = {[*TEXTS, *NUMBERS]}
rows = ef.Source("rows", path="rows.parquet", timestamp="at")
churn = ef.Model(
    "churn",
    task="binary",
    events=ef.Events(rows, id="id"),
    request=NAMES,
    features=NAMES,
    label=ef.Label("left", known_at="known_at"),
)


@churn.trainer(frame="pandas")
def train(X, y):
    return fit(X, y)
"""


def run() -> list[Figure]:
    """Measure both, one after the other."""
    require_wrk()
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        folder = Path(name)
        rows = _make_project(folder)
        bodies = write_bodies(folder / "bodies.jsonl", ({"inputs": [row]} for row in islice(_questions(rows), BODIES)))
        for words in (("train", "--as-of", _AS_OF), ("promote",)):
            _everfit(folder, *words)
        ours, our_answer = _measure(folder, bodies, EVERFIT, "serve", "--port")
        _fit_for_fastapi(folder, rows)
        peer = (sys.executable, "-m", "benchmarks.frames_fastapi", folder / "model.joblib")
        theirs, their_answer = _measure(folder, bodies, *peer)
        if abs(our_answer - their_answer) > 1e-6:
            raise RuntimeError(f"both must answer the same, but Everfit says {our_answer}, FastAPI {their_answer}")
    times = ours.per_second / theirs.per_second
    peer_said = f"{theirs.per_second:,.0f}/s, p99 {theirs.p99_us / 1e3:,.1f} ms"
    return [
        Figure(name="frames: requests a second, pipeline on pandas", value=ours.per_second, unit="/s"),
        Figure(name="frames: latency, p99", value=ours.p99_us / 1e3, unit="ms"),
        Figure(
            name="frames: times as fast as FastAPI with pandas", value=times, unit="×", goal=">= 1", reference=peer_said
        ),
        Figure(name="frames: failed requests", value=ours.errors, unit="", goal=0),
    ]


_START = datetime(2026, 1, 1, tzinfo=UTC)
_AS_OF = "2026-02-01T00:00Z"


def _make_project(folder: Path) -> pl.DataFrame:
    dice = np.random.default_rng(0)
    numbers = dice.normal(size=(ROWS, len(NUMBERS))).round(6)
    codes = {name: dice.integers(0, 8, ROWS) for name in TEXTS}
    chance = 1 / (1 + np.exp(-numbers[:, :3].sum(axis=1) - codes["shop"] / 4))
    times = [_START + timedelta(minutes=10 * number) for number in range(ROWS)]
    rows = pl.DataFrame(
        {
            "id": [f"row-{number}" for number in range(ROWS)],
            "at": times,
            "known_at": [time + timedelta(minutes=5) for time in times],
            **{name: [f"{name}-{code}" for code in found] for name, found in codes.items()},
            **dict(zip(NUMBERS, numbers.T, strict=True)),
            "left": dice.random(ROWS) < chance,
        }
    )
    (folder / "everfit.toml").write_text(_SETTINGS)
    (folder / "frames_project.py").write_text(_DEFINITIONS)
    (folder / "frames_pipeline.py").write_text(PIPELINE)
    rows.write_parquet(folder / "rows.parquet")
    return rows


def _questions(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    return rows.select(*TEXTS, *NUMBERS).iter_rows(named=True)


def _everfit(folder: Path, *words: str) -> None:
    done = subprocess.run([EVERFIT, *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"everfit {' '.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _fit_for_fastapi(folder: Path, rows: pl.DataFrame) -> None:
    """The same pipeline on the same labelled rows, the notebook's way."""
    import joblib
    import pandas as pd

    namespace: dict[str, Any] = {}
    exec(PIPELINE, namespace)
    known = rows.filter(pl.col("known_at") <= datetime.fromisoformat(_AS_OF))
    X = pd.DataFrame(known.select(*TEXTS, *NUMBERS).to_dict(as_series=False))
    joblib.dump(namespace["fit"](X, known["left"].to_numpy().astype(int)), folder / "model.joblib")


def _measure(folder: Path, bodies: Path, *command: str | Path) -> tuple[Load, float]:
    port = free_port()
    variables = {"EVERFIT_SERVING_WORKERS": "1", "PYTHONPATH": f"{FOLDER.parent}{os.pathsep}{folder}"}
    started = running(
        (*command, str(port)), port=port, path="/predict/churn", bodies=bodies, folder=folder, variables=variables
    )
    with started as service:
        return ask(service.url, bodies), float(json.loads(service.answer)["predictions"][0])
