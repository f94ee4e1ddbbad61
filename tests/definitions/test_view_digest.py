"""The digest of a view's definition: the same wherever the code lies, another one if its rows may differ."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import everfit as ef

SHOP = ef.Entity("shop", dtype=pl.String)

PROJECT = """
from pathlib import Path

import polars as pl

import everfit as ef

shop = ef.Entity("shop", dtype=pl.String)
orders = ef.Source("orders", path=str(Path(__file__).parent / "data" / "*.parquet"), timestamp="at")


@ef.feature_view(entities=[shop], source=orders, ttl="2d")
def record(orders):
    \"\"\"Orders of a shop.\"\"\"
    return orders.select("shop", "at", late=pl.col("late") * 2)
"""
ASK = "import sys; sys.path.insert(0, sys.argv[1]); import project; print(project.record.definition)"


def digest_of(folder: Path, code: str) -> str:
    """The digest in a process of its own."""
    folder.mkdir(parents=True)
    (folder / "everfit.toml").write_text('[project]\nname = "shop"\n')
    (folder / "project.py").write_text(code)
    done = subprocess.run([sys.executable, "-c", ASK, str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_same_definition_in_two_processes_and_two_trees(tmp_path: Path) -> None:
    first = digest_of(tmp_path / "home", PROJECT)
    assert first.startswith("sha256:")
    assert digest_of(tmp_path / "releases" / "trees" / "a", PROJECT) == first


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("import everfit as ef\n", "import everfit as ef\n\nMORE = 1\n", True),
        ('ttl="2d"', 'ttl="3d"', True),
        ('"""Orders of a shop."""', '"""Another\n    description."""', True),
        ("late=pl.col", "late=1 + pl.col", False),
        ('source=orders, ttl="2d"', 'source=orders, lookback="1d", ttl="2d"', False),
        ("entities=[shop]", 'entities=[ef.Entity("shop", dtype=pl.Int64)]', False),
        ('"data"', '"other"', False),
        ('timestamp="at"', 'timestamp="at", known_at={"late": "delivered"}', False),
    ],
)
def test_what_counts(tmp_path: Path, old: str, new: str, *, same: bool) -> None:
    assert PROJECT.count(old) == 1
    one, other = digest_of(tmp_path / "one", PROJECT), digest_of(tmp_path / "other", PROJECT.replace(old, new))
    assert (one == other) is same


def view(function: Callable[[pl.LazyFrame], pl.LazyFrame]) -> ef.FeatureView:
    source = ef.Source("rows", path="rows.parquet", timestamp="at")
    return ef.FeatureView("record", entities=[SHOP], source=source, ttl="1d", transform=function)


def made(expression: str) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    """A function without a file."""
    names: dict[str, Any] = {"pl": pl}
    exec(f"def record(rows):\n    return rows.with_columns({expression})", names)
    return names["record"]  # type: ignore[no-any-return]


NESTED = 'x=pl.col("x").map_elements(lambda value: value + 1)'


class Doubled:
    def __init__(self, column: str) -> None:
        self.column = column

    def __call__(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(pl.col(self.column) * 2)


def select(rows: pl.LazyFrame, column: str) -> pl.LazyFrame:
    return rows.select(column)


def test_functions_without_a_text() -> None:
    # Bytecode of a nested function has an address in its repr, as have partial functions and objects.
    assert view(made(NESTED)).definition == view(made(NESTED)).definition
    assert view(made(NESTED)).definition != view(made(NESTED.replace("+ 1", "+ 2"))).definition
    one, other = (view(functools.partial(select, column=column)) for column in "xy")
    assert one.definition == view(functools.partial(select, column="x")).definition != other.definition
    assert view(Doubled("x")).definition == view(Doubled("x")).definition


def test_it_is_that_of_the_code_that_was_imported(tmp_path: Path) -> None:
    digest_of(tmp_path / "home", PROJECT)
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import project\n"
        "Path(project.__file__).write_text('# Edited while the process runs.\\n' * 40)\n"
        "print(project.record.definition)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "home")]
    late = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    shutil.rmtree(tmp_path / "home")
    assert late == digest_of(tmp_path / "home", PROJECT)
