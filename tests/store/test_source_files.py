"""Files of one source that disagree are read without loss, or refused in a sentence that says where."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from everfit.core.errors import DefinitionError, SourceError
from everfit.definitions.source import Source
from everfit.store.reader import Reader

GOOD = "at,x,s\n" + "".join(f"2024-01-{day:02d}T00:00:00Z,{day},a{day}\n" for day in range(1, 29))
AT = pl.DataFrame({"at": ["2024-02-01"]}).with_columns(pl.col("at").str.to_datetime(time_zone="UTC"))


def read(
    folder: Path, files: Mapping[str, str | bytes | pl.DataFrame], *, path: str = "*.csv", **more: object
) -> pl.DataFrame:
    for name, content in files.items():
        file = folder / name
        if isinstance(content, pl.DataFrame):
            content.write_parquet(file)
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Reader(folder, {}).scan(Source("s", path=path, timestamp="at", **more)).collect()  # type: ignore[arg-type]


def test_a_parquet_file_with_damaged_pages_is_named(tmp_path: Path) -> None:
    """Its footer is whole, so that the damage only shows when the rows are read."""
    for name in ("a.parquet", "b.parquet"):
        pl.DataFrame({"at": [f"2024-01-01 {name}"] * 5_000, "x": range(5_000)}).write_parquet(tmp_path / name)
    damaged = bytearray((tmp_path / "b.parquet").read_bytes())
    for place in range(4, len(damaged) // 2):
        damaged[place] ^= 0x5A
    (tmp_path / "b.parquet").write_bytes(damaged)
    reader, source = Reader(tmp_path, {}), Source("s", path="*.parquet", timestamp="at")
    with (
        pytest.raises(SourceError, match=r"source s: b\.parquet must be readable as Parquet: .* write it again"),
        reader.naming_damage(source),
    ):
        pl.scan_parquet([tmp_path / "a.parquet", tmp_path / "b.parquet"]).collect()
    with pytest.raises(pl.exceptions.ComputeError), reader.naming_damage():
        pl.scan_parquet(tmp_path / "b.parquet").collect()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ("b.csv", "0 bytes")),
        (GOOD.replace(",5,", ",n/a,"), ("b.csv, line 6", "column x", "'n/a'")),
        (GOOD.replace(",5,", ',"1,5",'), ("b.csv, line 6", "column x", "'1,5'")),
        (GOOD.replace(",5,", ",x5,"), ("b.csv, line 6", "column x", "'x5'")),
        (GOOD.replace("a7", '"a\n7"').replace(",9,", ",?,"), ("b.csv, line 11", "'?'")),
        ("at,x,s\n2024-02-01T00:00:00Z,12 km,a\n", ("b.csv, line 2", "String here and Int64 in a.csv", "12 km")),
        (GOOD.replace("a7", "é").encode("latin-1"), ("b.csv, line 8", "UTF-8", "iconv")),
        (GOOD.encode("utf-16"), ("b.csv", "UTF-16", "iconv")),
        (GOOD.replace("a7", "a7,b"), ("b.csv, line 8", "4 cells")),
        (GOOD.replace(",a7", ""), ("b.csv, line 8", "2 cells")),
        (GOOD[:-6], ("b.csv, line 29", "2 cells", "cut off")),
        (GOOD.replace("a7", '"a7'), ("b.csv, line 8", "quote must be closed")),
        (GOOD.replace("a7", '5" pipe'), ("b.csv, line 8", "quote must be closed")),
        (GOOD.replace("a7", '"a7').replace("a20", 'a20"'), ("b.csv, line 8", "quote must be closed")),
        ("at,x,s\n03/02/2024 00:00,1,a\n", ("b.csv, line 2", "column at", "'03/02/2024 00:00'", "ISO 8601")),
        (GOOD.replace("2024-01-07T", "07.01.2024 "), ("b.csv, line 8", "column at")),
        ("at,x,s\n2024-02-01,1,a\n", ("b.csv", "column at", "Date here")),
        (GOOD.replace("Z", ""), ("b.csv", "column at", "time_zone=None")),
        ("x,s\n1,a\n", ("b.csv", "column at must be in every file")),
        ("at,x,x\n2024-02-01T00:00:00Z,1,a\n", ("b.csv", "named once")),
    ],
)  # fmt: skip
def test_a_csv_file_that_cannot_be_read_safely_is_refused(
    tmp_path: Path, content: str | bytes, words: tuple[str, ...]
) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, {"a.csv": GOOD, "b.csv": content})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "x"),
    [
        ("at,x,s\n2024-02-01T00:00:00Z,1.5,a\n", pl.Float64()),
        ("at,x,s\n2024-02-01T00:00:00Z,,a\n", pl.Int64()),
        ("at,x,s\n", pl.Int64()),
        ("at,s\n2024-02-01T00:00:00Z,a\n", pl.Int64()),
        ("s,more,x,at\na,1,2,2024-02-01T00:00:00+01:00\n", pl.Int64()),
        ("at;x;s\n2024-02-01T00:00Z;1,5;a\n", pl.Float64()),
        ("at,x,s\r\n2024-02-01T00:00:00.25Z, 3,a\r\n\r\n", pl.Int64()),
        (GOOD.encode("utf-8-sig"), pl.Int64()),
    ],
)
def test_what_loses_nothing_is_read(tmp_path: Path, content: str | bytes, x: pl.DataType) -> None:
    rows = read(tmp_path, {"a.csv": GOOD, "b.csv": content, ".hidden.csv": "", "~$a.csv": ""})
    assert rows.schema["x"] == x
    assert rows["at"].null_count() == 0
    assert rows.schema["s"] == pl.String()
    assert rows.height >= 28


def test_compressed_files_are_read_and_broken_ones_named(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD.encode())
    assert read(tmp_path, {"a.csv.gz": packed}, path="a.csv.gz").height == 28
    assert read(tmp_path, {"a.tsv.gz": gzip.compress(GOOD.replace(",", "\t").encode())}, path="*.tsv.gz").height == 28
    for broken in (packed[:-20], GOOD):
        with pytest.raises(SourceError, match=r"a\.csv\.gz"):
            read(tmp_path, {"a.csv.gz": broken}, path="a.csv.gz")


def test_the_stated_type_wins(tmp_path: Path) -> None:
    text = GOOD.replace(",5,", ",n/a,")
    assert read(tmp_path, {"a.csv": text}, types={"x": pl.String})["x"][4] == "n/a"
    with pytest.raises(SourceError, match=r"a\.csv, line 6.*as the source says"):
        read(tmp_path, {"a.csv": text}, types={"x": pl.Float64})
    with pytest.raises(SourceError, match="'y'"):
        read(tmp_path, {"a.csv": GOOD}, types={"y": pl.Float64})
    with pytest.raises(DefinitionError, match="types may be given for CSV"):
        Source("s", path="a.parquet", timestamp="at", types={"x": pl.String})


def test_identifiers_of_twenty_digits_stay_exact(tmp_path: Path) -> None:
    rows = read(tmp_path, {"a.csv": "at,id\n" + "".join(f"2024-01-01,{2**64 + n}\n" for n in range(4))}, path="a.csv")
    assert rows["id"].n_unique() == 4


@pytest.mark.parametrize(
    ("other", "x"),
    [
        (AT.with_columns(x=pl.lit(1, pl.Int32)), pl.Int64()),
        (AT.with_columns(x=pl.lit(1.5)), pl.Float64()),
        (AT, pl.Int64()),
        (AT.with_columns(pl.col("at").dt.convert_time_zone("Asia/Tokyo").dt.cast_time_unit("ns"), x=None), pl.Int64()),
    ],
)
def test_parquet_files_that_can_be_brought_together_are(tmp_path: Path, other: pl.DataFrame, x: pl.DataType) -> None:
    rows = read(tmp_path, {"a.parquet": AT.with_columns(x=pl.lit(7, pl.Int64)), "b.parquet": other}, path="*.parquet")
    assert rows.schema == {"at": pl.Datetime("us", "UTC"), "x": x}
    assert rows["at"].n_unique() == 1
    assert rows["x"][0] == 7


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (AT.with_columns(x=pl.lit("a")), ("b.parquet", "column x", "String here and Int64 in a.parquet, c.parquet")),
        (AT.with_columns(pl.col("at").dt.replace_time_zone(None), x=7), ("b.parquet", "column at")),
        (GOOD, ("b.parquet must be readable as Parquet",)),
        (b"", ("b.parquet", "0 bytes")),
    ],
)
def test_parquet_files_that_mean_different_things_are_refused(
    tmp_path: Path, other: pl.DataFrame | bytes | str, words: tuple[str, ...]
) -> None:
    good = AT.with_columns(x=pl.lit(2**60, pl.Int64))
    with pytest.raises(SourceError) as caught:
        read(tmp_path, {"a.parquet": good, "b.parquet": other, "c.parquet": good}, path="*.parquet")
    for word in words:
        assert word in str(caught.value)


def test_integers_that_a_number_cannot_hold_are_refused(tmp_path: Path) -> None:
    files = {"a.parquet": AT.with_columns(x=pl.lit(2**60, pl.Int64)), "b.parquet": AT.with_columns(x=1.5)}
    with pytest.raises(SourceError, match=r"a\.parquet.*column x"):
        read(tmp_path, files, path="*.parquet")


def test_folders_of_files_are_read_and_others_explained(tmp_path: Path) -> None:
    (tmp_path / "spark.parquet" / "_temporary").mkdir(parents=True)
    read(tmp_path, {"spark.parquet/part-0.parquet": AT, "spark.parquet/_SUCCESS": ""}, path="spark.parquet")
    shutil.copy(tmp_path / "spark.parquet" / "part-0.parquet", tmp_path / "spark.parquet" / "_temporary" / "x.parquet")
    assert read(tmp_path, {}, path="spark.parquet").height == 1
    (tmp_path / "plain").mkdir()
    with pytest.raises(SourceError, match="must be a Delta table"):
        read(tmp_path, {"plain/a.csv": GOOD}, path="plain")


def test_a_schema_is_read_again_only_if_the_file_changed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    reader, source = Reader(tmp_path, {}), Source("s", path="a.csv", timestamp="at")
    assert reader.scan(source).collect_schema()["x"] == pl.Int64()
    (tmp_path / "a.csv").write_text(GOOD.replace(",5,", ",5.5,"))
    assert reader.scan(source).collect_schema()["x"] == pl.Float64()


def test_a_function_that_raises_is_named(tmp_path: Path) -> None:
    def rows() -> pl.DataFrame:
        raise ValueError("no such month")

    with pytest.raises(SourceError, match="ValueError: no such month"):
        Reader(tmp_path, {}).scan(Source("s", function=rows, timestamp="at"))
