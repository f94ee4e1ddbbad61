"""Importance of features: measured when a package is written, and read without executing the model."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.artifact.test_package import TRUST, lightgbm, write

from everfit.artifact.importance import measure_importance
from everfit.artifact.package import IMPORTANCE, PROFILE, open_package


def test_of_a_linear_model_it_is_in_the_order_of_the_slopes() -> None:
    rows = pl.DataFrame({name: pl.int_range(200, eager=True) / 100 for name in ("a", "b", "c")})
    found = measure_importance(rows, rows.columns, lambda part: (3 * part["a"] + part["b"]).to_numpy())
    assert found["a"] == pytest.approx(3 * found["b"])
    assert found["b"] > 0
    assert found["c"] == 0


def test_without_a_row_nothing_is_important() -> None:
    assert measure_importance(pl.DataFrame({"a": []}), ["a"], lambda _: pytest.fail("nothing to predict")) == {"a": 0.0}


def test_a_package_keeps_it_and_one_without_it_weighs_all_alike(tmp_path: Path) -> None:
    package = write(tmp_path / "package", lightgbm("binary"), "binary", gaps=False, with_profile=True)
    assert (package.folder / PROFILE).is_file()
    found = open_package(package.folder, trust=TRUST).importance()
    assert found.keys() == set(package.schema.names)
    assert max(found.values()) > 0
    (package.folder / IMPORTANCE).unlink()
    assert set(package.importance().values()) == {1.0}
