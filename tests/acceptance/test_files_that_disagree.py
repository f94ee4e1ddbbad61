"""Files that disagree, infinite values and columns of every type, by the real command from an empty folder."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import AS_OF, DEFINITIONS, everfit, make_project, orders

DEFINED = (
    DEFINITIONS.replace('path="orders.parquet", timestamp="ordered_at"', 'path="orders/*.csv*", timestamp="ordered_at"')
    .replace('.agg(pl.col("late").mean())', '.agg(pl.col("late").mean(), ratio=pl.len() / (pl.len() % 5))')
    .replace('"distance_km", "ordered_at"]', '"distance_km", "ordered_at", "floor"]')
    .replace('"shop", "distance_km"]', '"shop", "distance_km", "floor"]')
)


def write_months(folder: Path) -> None:
    """One source in four files: fractions and integers, commas and semicolons, plain and compressed, a column less."""
    (folder / "orders").mkdir()
    data = orders().with_columns(floor=pl.int_range(pl.len()) % 9)
    whole = data.with_columns(pl.col("distance_km").round().cast(pl.Int64))
    texts = [
        data[:800].write_csv(datetime_format="%+"),
        whole[800:1600].drop("floor").write_csv(datetime_format="%+"),
        data[1600:2400].write_csv(datetime_format="%+", separator=";"),
        data[2400:]
        .with_columns(pl.col("distance_km") / (pl.int_range(pl.len()) % 50 != 0).cast(pl.Float64))
        .write_csv(datetime_format="%+"),
    ]
    for number, text in enumerate(texts):
        if number == 1:
            (folder / "orders" / f"{number}.csv.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / "orders" / f"{number}.csv").write_text(text)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("files") / "shop", definitions=DEFINED)
    (folder / "orders.parquet").unlink()
    write_months(folder)
    return folder


def test_files_that_can_be_read_together_are_checked_trained_and_served(shop: Path) -> None:
    found = everfit(shop, "check", "--json", *AS_OF)
    assert found.code == 0, found.out + found.err
    said = "\n".join(f"{each['place']}: {each['rule']} {each['value']}" for each in found.json["problems"])
    assert "floor is not in 1.csv.gz" in said
    assert "source orders: the values of distance_km should be finite" in said
    assert "feature view shop_record: the values of ratio should be finite" in said
    for words in (("train", *AS_OF), ("promote",), ("features", "materialize")):
        answer = everfit(shop, *words)
        assert answer.code == 0, answer.err + answer.out
        assert "Warning" not in answer.err


def test_a_file_that_cannot_be_read_is_refused_by_every_command(shop: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(shop, tmp_path / "shop"))
    (own / "orders" / "0.csv").write_text("")
    for command in (("check", *AS_OF), ("features", "materialize")):
        answer = everfit(own, *command, COLUMNS="400")
        assert answer.code == 1, answer
        assert "Traceback" not in answer.out + answer.err
        assert "0.csv" in answer.out + answer.err
        assert "0 bytes" in answer.out + answer.err


def test_a_bad_cell_is_named(shop: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(shop, tmp_path / "shop"))
    path = own / "orders" / "0.csv"
    lines = path.read_text().splitlines()
    cells = lines[41].split(",")
    lines[41] = ",".join([*cells[:2], "n/a", *cells[3:]])
    path.write_text("\n".join(lines))
    answer = everfit(own, "train", *AS_OF, COLUMNS="400")
    assert answer.code == 1
    for word in ("source orders, 0.csv, line 42", "distance_km", "'n/a'"):
        assert word in answer.err
    assert json.loads(everfit(own, "check", "--json", *AS_OF).out)["problems"][0]["value"] == "n/a"
