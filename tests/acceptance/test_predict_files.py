"""``everfit predict`` and ``everfit outcomes`` on files, with the real command against the real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from tests.acceptance.shop import Answer, everfit
from tests.serving.orders import ROW, Shop, make_shop, trees
from tests.serving.process import running
from tests.serving.test_feedback import known
from tests.store.recent_predictions import recent_predictions

ROWS = 2_500
FIELDS = list(ROW)


class Served(NamedTuple):
    """A shop whose model a running service serves."""

    shop: Shop
    url: str

    def run(self, folder: Path, command: str, *words: str) -> Answer:
        return everfit(folder, command, "late", *words, "--url", self.url)

    @property
    def rows(self) -> pl.DataFrame:
        """So many of the shop's orders, with their ids and a column that the model does not ask for."""
        return self.shop.frame.head(ROWS).select("event_id", *FIELDS, note=pl.lit("fragile"))

    @property
    def recorded(self) -> list[str]:
        return [each for _, found in recent_predictions(self.shop.journal) for each in found.ids]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    shop = make_shop(tmp_path_factory.mktemp("files") / "shop", trees())
    with running(shop.folder, max_rows=1000, max_body_bytes=16 * 1024 * 1024) as service:
        yield Served(shop, service.url)


def write(frame: pl.DataFrame, path: Path) -> str:
    match path.suffix:
        case ".parquet":
            frame.write_parquet(path)
        case ".csv":
            frame.write_csv(path)
        case ".json":
            path.write_text(json.dumps(frame.to_dicts(), default=lambda value: value.isoformat()))
        case _:
            lines = (json.dumps(row, default=lambda value: value.isoformat()) for row in frame.to_dicts())
            path.write_text("\n".join(lines))
    return path.name


def read(path: Path) -> pl.DataFrame:
    readers: dict[str, Any] = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}
    return readers[path.suffix](path)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("o.parquet", "a.parquet"),
        ("o.csv", "a.csv"),
        ("o.jsonl", "a.jsonl"),
        ("o.ndjson", "a.csv"),
        ("o.json", "a.parquet"),
    ],
)
def test_a_file_of_rows_becomes_a_file_of_predictions(served: Served, tmp_path: Path, name: str, out: str) -> None:
    file = write(served.rows, tmp_path / name)
    answer = served.run(tmp_path, "predict", file, "--out", out, "--id", "event_id")
    assert answer.code == 0, answer.err
    assert f"{out}: 2,500 predictions of late, version 3." in answer.out
    assert "Not sent, since they are no request fields of late: note.\n" in answer.err
    assert "Predicting with late: 2,500 rows\n" in answer.err
    found = read(tmp_path / out)
    assert found.columns == ["id", "version", "prediction"]
    assert found["id"].to_list() == served.rows["event_id"].to_list()
    assert found["prediction"].to_list() == pytest.approx(list(served.shop.native[:ROWS]))
    assert set(found["id"]) <= set(served.recorded)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([name, out])


def test_without_a_file_to_write_they_are_printed(served: Served, tmp_path: Path) -> None:
    file = write(served.rows.head(30), tmp_path / "orders.parquet")
    words = ("predict", file, "--batch", "7", "--id", "event_id")
    document = served.run(tmp_path, *words, "--json").json
    assert document["predictions"] == pytest.approx(list(served.shop.native[:30]))
    assert document["ids"] == served.rows["event_id"].to_list()[:30]
    assert document["version"] == 3
    lines = served.run(tmp_path, *words).out.splitlines()
    assert lines[4] == f"{document['ids'][4]}  {document['predictions'][4]:.4f}  (version 3)"
    summary = served.run(tmp_path, *words, "--json", "--out", "a.csv").json
    assert {each: summary[each] for each in ("rows", "versions", "out")} == {
        "rows": 30, "versions": {"3": 30}, "out": "a.csv",
    }  # fmt: skip


def test_json_on_the_command_line_is_sent_as_it_is(served: Served, tmp_path: Path) -> None:
    one = served.run(tmp_path, "predict", json.dumps(ROW), "--json")
    assert len(one.json["ids"]) == 1
    assert (
        served.run(tmp_path, "predict", json.dumps([ROW, ROW]), "--json").json["predictions"]
        == one.json["predictions"] * 2
    )
    misspelt = served.run(tmp_path, "predict", json.dumps(ROW | {"colour": "red"}))
    assert (misspelt.code, "row 1, colour: must not be given" in misspelt.err) == (1, True)
    nothing = served.run(tmp_path, "predict", "orders.parquet" * 50)
    assert (nothing.code, "must be a file that exists" in nothing.err) == (2, True)


@pytest.mark.parametrize("name", ["orders.csv", "orders.jsonl"])
def test_a_wrong_row_is_named_and_nothing_half_written_stays(served: Served, tmp_path: Path, name: str) -> None:
    weight = pl.when(pl.int_range(pl.len()) == 1_233).then(pl.lit("heavy")).otherwise(pl.lit("1.5"))
    if name.endswith("csv"):
        file = write(served.rows.with_columns(weight.alias("weight kg")), tmp_path / name)
    else:
        file = write(served.rows.with_columns(weight.alias("shop").replace("heavy", None)), tmp_path / name)
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace('"shop": null', '"shop": 7'))
    (tmp_path / "a.csv").write_text("what was there")
    answer = served.run(tmp_path, "predict", file, "--out", "a.csv")
    assert answer.code == 1
    assert f"{name}, row 1234, " in answer.err
    assert ("but got 'heavy'" in answer.err) or ("must be text or null, but got 7" in answer.err)
    assert (tmp_path / "a.csv").read_text() == "what was there"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv", name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.col("ordered_at").dt.replace_time_zone(None), "row 1, ordered_at: must be an instant with a time zone"),
        (pl.lit(None, pl.String).alias("event_id"), "row 1, event_id: must be given: an id"),
        (pl.lit("same").alias("event_id"), "rows 1 to 1000, ids: must differ from each other"),
        (pl.lit(float("inf")).alias("weight kg"), "row 1, weight kg: must be a finite number"),
    ],
)
def test_what_a_column_may_not_hold(served: Served, tmp_path: Path, change: pl.Expr, said: str) -> None:
    for name in ("orders.parquet", "orders.csv"):
        file = write(served.rows.with_columns(change), tmp_path / name)
        answer = served.run(tmp_path, "predict", file, "--out", "a.csv", "--id", "event_id")
        assert (answer.code, f"{name}, {said}" in answer.err) == (1, True), answer.err


def test_a_missing_column_is_found_before_anything_is_asked(served: Served, tmp_path: Path) -> None:
    before = len(served.recorded)
    for name in ("o.parquet", "o.jsonl"):
        file = write(served.rows.drop("kind", "shop"), tmp_path / name)
        answer = served.run(tmp_path, "predict", file, "--json")
        assert answer.code == 1
        assert "the columns shop, kind must exist" in answer.json["error"]["rule"]
    file = write(served.rows, tmp_path / "o.csv")
    assert "the columns order must exist" in served.run(tmp_path, "predict", file, "--id", "order").err
    assert served.run(tmp_path, "predict", file, "--out", "a.xlsx").code == 2
    assert served.run(tmp_path, "predict", file, "--out", "nowhere/a.csv").code == 2
    assert len(served.recorded) == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("o.parquet", b"PAR0", "o.parquet: the file must be readable"),
        ("o.csv", b"shop,kind\nshop-7\n", "row 1: a row must have as many cells as there are columns, 2, but got 1"),
        ("o.csv", b"shop,shop\n", "must have different names, but got 'shop'"),
        ("o.csv", b"shop\n\xff\n", "must be CSV in UTF-8"),
        ("o.jsonl", b'{"id": "a"}\n\n{"id": \n', "row 2: a line must be one JSON object"),
        ("o.json", b"[1]", "must be one JSON object or a list of them"),
        ("o.xlsx", b"", "must end in .parquet, .csv, .jsonl, .ndjson, .json"),
    ],
)
def test_a_file_that_cannot_be_read(served: Served, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    columns = ("--id", "shop", "--value", "shop") if name == "o.csv" else ("--value", "id")
    answer = served.run(tmp_path, "outcomes", name, *columns)
    assert (answer.code, said in answer.err) == (1, True), answer.err


@pytest.mark.parametrize("name", ["o.parquet", "o.csv", "o.jsonl"])
def test_no_rows_are_no_trouble(served: Served, tmp_path: Path, name: str) -> None:
    file = write(served.rows.clear(), tmp_path / name)
    assert served.run(tmp_path, "predict", file, "--out", "a.parquet").code == 0
    assert pl.read_parquet(tmp_path / "a.parquet").shape == (0, 3)


@pytest.mark.parametrize("name", ["labels.parquet", "labels.csv", "labels.jsonl"])
def test_outcomes_and_their_corrections(served: Served, tmp_path: Path, name: str) -> None:
    ids = [f"{name}-{number}" for number in range(ROWS)]
    when = datetime(2026, 1, 8, tzinfo=UTC)
    labels = pl.DataFrame({"order": ids, "late": [number % 2 == 0 for number in range(ROWS)]})
    file = write(labels.with_columns(pl.lit(when).alias("known_at")), tmp_path / name)
    words = ("outcomes", file, "--id", "order", "--value", "late")
    assert served.run(tmp_path, *words, "--json").json == {"model": "late", "outcomes": ROWS}
    again = served.run(tmp_path, *words)
    assert "2,500 outcomes of late recorded" in again.out
    assert "Reporting to late: 2,500 outcomes\n" in again.err
    before = datetime.now(UTC)
    found = known(served.shop, before)
    assert [found[each] for each in ids] == ["true", "false"] * (ROWS // 2)
    corrected = labels.head(2).with_columns(
        late=pl.Series([False, None]), seen=pl.lit(datetime(2026, 1, 9, tzinfo=UTC))
    )
    write(corrected, tmp_path / name)
    assert served.run(tmp_path, *words, "--known-at", "seen").code == 0
    then, now = known(served.shop, before), known(served.shop, datetime.now(UTC))
    assert (then[ids[0]], then[ids[1]]) == ("true", "false")
    assert (now[ids[0]], ids[1] in now) == ("false", False)


def test_a_wrong_outcome_is_named_with_what_was_taken_before(served: Served, tmp_path: Path) -> None:
    values = ["true"] * 1_500
    values[1_200] = "maybe"
    ids = [f"wrong-{number}" for number in range(1_500)]
    for name in ("l.parquet", "l.csv"):
        file = write(pl.DataFrame({"id": ids, "value": values}), tmp_path / name)
        answer = served.run(tmp_path, "outcomes", file)
        assert answer.code == 1
        assert f"{name}, row 1201, value: must be " in answer.err
        assert "The 1,000 rows before it were accepted; they may be sent again." in answer.err
    found = known(served.shop, datetime.now(UTC))
    assert [each in found for each in ("wrong-999", "wrong-1000")] == [True, False]
    naive = pl.DataFrame({"id": ["a"], "value": [True], "known_at": [datetime(2026, 1, 8)]})  # noqa: DTZ001 - the point
    for name in ("l.parquet", "l.csv", "l.jsonl"):
        answer = served.run(tmp_path, "outcomes", write(naive, tmp_path / name))
        assert (answer.code, f"{name}, row 1, known_at: must be an instant" in answer.err) == (1, True), answer.err
    missing = served.run(tmp_path, "outcomes", write(naive.drop("value"), tmp_path / "l.csv"))
    assert "the columns value must exist" in missing.err


def test_classes_have_a_column_each(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", trees("multiclass"), "multiclass")
    with running(shop.folder) as service:
        rows = shop.frame.head(20).select(FIELDS)
        served = Served(shop, service.url)
        file = write(rows, tmp_path / "o.csv")
        assert served.run(tmp_path, "predict", file, "--out", "a.parquet").code == 0
        assert "{" in served.run(tmp_path, "predict", file).out
        labels = pl.DataFrame({"id": ["a", "b"], "value": [2, 0]})
        assert served.run(tmp_path, "outcomes", write(labels, tmp_path / "l.csv")).code == 0
    found = pl.read_parquet(tmp_path / "a.parquet")
    assert found.columns == ["id", "version", "prediction.0", "prediction.1", "prediction.2"]
    assert found.select(pl.sum_horizontal(pl.col("^prediction.*$")))["prediction.0"].to_list() == pytest.approx(
        [1.0] * 20
    )
    assert known(shop, datetime.now(UTC)) == {"a": "2", "b": "0"}


def test_a_service_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("id,value\na,1\n")
    for command in ("predict", "outcomes"):
        answer = everfit(tmp_path, command, "late", "o.csv", "--url", "http://127.0.0.1:9")
        assert (answer.code, "could not be reached" in answer.err) == (1, True)
    assert [each.name for each in tmp_path.iterdir()] == ["o.csv"]
