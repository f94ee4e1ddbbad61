"""Projects in folders whose names mean something to URLs, globs, shells or templates, side by side."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.acceptance.shop import AS_OF, everfit, make_project, orders
from tests.acceptance.test_walk import ROW, post, service

from everfit.core.clock import SystemClock
from everfit.store.delta import LakeTable, append_rows, scan_delta

NAMES = [
    "feature%2Flogin", "p%20q", "[v2]", "a?b", "x#y", "with space", "it's \"q\"", "größe", "{name}", "-x", "50%", "a*b",
    "back\\slash", "c;d&e=f+g~h", "new\nline", "v", "p q", "n" * 200,
]  # fmt: skip
WALKED = ["feature%2Flogin [v2]", "a?b #c 'd' {e}"]


@pytest.mark.parametrize("name", NAMES, ids=[name[:20].encode("unicode_escape").decode() for name in NAMES])
def test_tables_files_and_databases_of_any_folder(tmp_path: Path, name: str) -> None:
    import sqlalchemy as sa

    import everfit as ef
    from everfit.core.sqlite_url import anchor_url, sqlite_path, sqlite_url
    from everfit.store.lake import SegmentRows, append, scan_tables, tables_under
    from everfit.store.reader import Reader
    from everfit.store.table_tailer import TableTailer

    neighbours = [tmp_path / other / "data" for other in ("v", "a1b", "axxb", "feature", "p q") if other != name]
    for neighbour in neighbours:
        neighbour.mkdir(parents=True)
        pl.DataFrame({"n": ["neighbour"]}).write_parquet(neighbour / "rows.parquet")
    root = tmp_path / name
    (root / "data").mkdir(parents=True)
    before = {path for path in tmp_path.rglob("*") if root not in (path, *path.parents)}
    for place in range(3):
        rows = pl.DataFrame({"at": [SystemClock().now()], "n": [place], "segment": [f"s{place}"], "place": [0]})
        append(root / "lake", "log/m", [SegmentRows(segment=f"s{place}", table="log/m", rows=rows)])
    base = {"at": pl.Datetime("us", "UTC"), "n": pl.Int64()}
    assert sorted(scan_tables(root / "lake", "log", [], base=base).collect()["n"]) == [0, 1, 2]
    ((folder, table),) = tables_under(root / "lake", "log")
    assert (folder, table.actions()["num_records"].sum()) == ("log/m", 3)
    follower = TableTailer(root / "lake", "log", base, lambda column: column in base, "at")
    assert follower.grown()[0].height == 3
    append_rows(root / "lake" / "log" / "m", rows)
    assert follower.grown()[0].height == 1
    assert LakeTable(root / "lake" / "log" / "m").version() == 3
    assert scan_delta(root / "lake" / "log" / "m").collect().height == 4

    own = pl.DataFrame({"n": ["own"], "at": [SystemClock().now()]})
    own.write_parquet(root / "data" / "rows.parquet")
    own.write_csv(root / "data" / "rows.csv")
    for path in ("data/rows.parquet", "data/*.parquet", "d*/rows.csv", "{here}/*.parquet"):
        reader = Reader(root, {"here": str(root / "data")})
        found = reader.scan(ef.Source("rows", path=path, timestamp="at")).collect()
        assert found["n"].to_list() == ["own"], path

    url = anchor_url("sqlite:///rows%23.db", root)
    assert sqlite_path(url) == root / "rows#.db"
    assert sqlite_path(sqlite_url(root / "x.db")) == root / "x.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n TEXT)")
    engine.dispose()
    assert (root / "rows#.db").stat().st_size > 0
    assert {path for path in tmp_path.rglob("*") if root not in (path, *path.parents)} == before


@pytest.mark.slow
@pytest.mark.skipif("EVERFIT_TEST_REPLAYS" not in os.environ, reason="minutes: set EVERFIT_TEST_REPLAYS=1")
def test_the_same_walk_in_folders_of_odd_names(tmp_path: Path) -> None:
    first = make_project(tmp_path / WALKED[0])
    champions = []
    for number, name in enumerate(WALKED):
        folder = first if number == 0 else make_project(tmp_path / name, data=orders(3_000 - 6 * number))
        for words in (("check",), ("train", *AS_OF), ("promote",), ("features", "materialize")):
            answer = everfit(folder, *words)
            assert answer.code == 0, (name, words, answer.err + answer.out)
        pl.DataFrame([ROW]).write_parquet(folder / "ask.parquet")
        with service(folder) as url:
            assert post(f"{url}/predict/late", {"inputs": ROW, "id": "order-1"})[0] == 200
            out = everfit(folder, "predict", "late", str(folder / "ask.parquet"), "--url", url, "--out", "told.csv")
            assert out.code == 0, out.err
            outcome = {"id": "order-1", "value": True}
            assert post(f"{url}/outcomes/late", outcome)[0] == 200
        assert pl.read_csv(folder / "told.csv", glob=False).height == 1
        for words in (("journal", "ship"), ("explain", "order-1"), ("monitor",), ("status",), ("models", "--json")):
            answer = everfit(folder, *words)
            assert answer.code == 0, (name, words, answer.err + answer.out)
        champions.append(answer.json)
        assert (folder / ".everfit" / "lake").is_dir()
        status = everfit(folder, "journal", "status", "--json").json
        assert sum(each["rows"] for each in status["lake"]) == 3
    # Each has a registry of its own, with one version of its own.
    assert len({json.dumps(each, sort_keys=True, default=str) for each in champions}) == len(WALKED)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(WALKED)


def test_a_project_may_be_moved_to_such_a_folder(own: Path) -> None:
    moved = own.with_name("feature%2Fmoved [v3]?")
    shutil.move(own, moved)
    for words in (("status",), ("models",), ("doctor",)):
        answer = everfit(moved, *words)
        assert answer.code == 0, answer.err + answer.out
    assert [path.name for path in moved.parent.iterdir()] == [moved.name]
