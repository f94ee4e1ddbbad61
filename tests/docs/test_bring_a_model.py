"""The models of docs/howto/bring-a-model.md are trained, packaged and answer whatever they are asked."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.acceptance.shop import orders
from tests.training.test_frames import packaged

import everfit as ef


@pytest.fixture(scope="module")
def models(repository: Path) -> list[ef.Model]:
    found: list[ef.Model] = runpy.run_path(str(repository / "docs" / "snippets" / "bring_a_model.py"))["MODELS"]
    return found


@pytest.mark.parametrize("number", range(5), ids=["pipeline", "lightgbm", "xgboost", "catboost", "own"])
def test_it_answers_as_in_memory(models: list[ef.Model], number: int, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    rows = orders(400).with_columns(
        channel=pl.Series(["web", "app", "phone", "desk"] * 100), items=pl.Series([1, 2, None, 4, 5] * 80)
    )
    rows.write_parquet("orders.parquet")
    fitted, package, history = packaged(models[number], tmp_path)
    expected = fitted.predict(package.transform(history))
    assert np.ptp(expected) > 0.1
    assert np.array_equal(package.predictor().predict(package.transform(history)), expected)
    pipeline = package.row_pipeline()
    odd: list[tuple[Any, ...]] = [(None, None, None, None), ("unseen", "unseen", 1e15, -1)]
    assert np.isfinite(package.predictor().predict(pipeline.encode_all(odd, [(), ()]))).all()
