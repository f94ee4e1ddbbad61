"""Rows of a file or of JSON text, read in batches; and a file of predictions, complete once it has its name."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from everfit.client.records import Prediction
from everfit.core.errors import SettingsError, SourceError

Row = dict[str, Any]


class RowSource(NamedTuple):
    """Rows that are read lazily."""

    name: str
    """Name of the file; empty without one."""
    columns: tuple[str, ...]
    """Names of the columns; for JSON, those of the first row."""
    total: int | None
    """Number of rows, if it is known before reading."""
    untyped: bool
    """``True`` if all values are text or ``None``, as in CSV."""
    read: Callable[[Sequence[str], int], Iterator[list[Row]]]
    """Yields batches of at most so many rows, with at least these columns; may raise SourceError."""

    def batches(self, columns: Sequence[str], size: int) -> Iterator[tuple[int, list[Row]]]:
        """Yield batches of at most ``size`` rows, each after the number of its first row, from 1."""
        first = 1
        for rows in self.read(columns, size):
            yield first, rows
            first += len(rows)

    def require(self, *columns: str) -> None:
        """Make sure that columns exist. Raises :class:`SourceError` if one does not."""
        missing = [column for column in columns if column not in self.columns]
        if missing and self.total != 0:
            remedy = f"There are {', '.join(self.columns) or 'none'}."
            raise SourceError(f"the columns {', '.join(missing)} must exist", place=self.name, remedy=remedy)


def open_rows(path: Path) -> RowSource:
    """Return the rows of a Parquet, CSV, JSONL or JSON file; only JSON is read as a whole.

    Raises :class:`SourceError` if it cannot be read, or has another format.
    """
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        raise SourceError(f"a file of rows must end in {', '.join(_OPENERS)}", value=path.name)
    try:
        return opener(path)
    except OSError as problem:
        raise SourceError(f"the file must be readable: {problem}", place=str(path)) from problem


def json_rows(text: str | bytes, name: str = "") -> RowSource:
    """Return the rows of JSON text: one object, or a list of objects. Raises :class:`SourceError` if it is neither."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as problem:
        raise SourceError(f"the rows must be JSON: {problem}", value=str(text[:80]), place=name) from problem
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) for row in rows):
        raise SourceError("the rows must be one JSON object or a list of them", value=str(text[:80]), place=name)
    columns = tuple(rows[0]) if rows else ()
    return RowSource(name, columns, len(rows), untyped=False, read=lambda _, size: _batched(rows, size))


def _open_parquet(path: Path) -> RowSource:
    import polars as pl

    scan = pl.scan_parquet(path, glob=False)

    @contextmanager
    def _readable() -> Iterator[None]:
        try:
            yield
        except pl.exceptions.PolarsError as problem:
            raise SourceError(f"the file must be readable: {problem}", place=path.name) from problem

    def _read(columns: Sequence[str], size: int) -> Iterator[list[Row]]:
        with _readable():
            for frame in scan.select(columns).collect_batches(chunk_size=size, maintain_order=True):
                yield from (part.to_dicts() for part in frame.iter_slices(size))

    with _readable():
        total = int(scan.select(pl.len()).collect().item())
        return RowSource(path.name, tuple(scan.collect_schema()), total, untyped=False, read=_read)


def _open_csv(path: Path) -> RowSource:
    columns = tuple(next(_lines(path), ()))
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise SourceError("columns must have different names", value=twice, place=path.name)

    def _rows() -> Iterator[Row]:
        for number, cells in enumerate(islice(_lines(path), 1, None), start=1):
            if len(cells) != len(columns):
                rule = f"a row must have as many cells as there are columns, {len(columns)}"
                raise SourceError(rule, value=len(cells), place=f"{path.name}, row {number}")
            yield {name: cell or None for name, cell in zip(columns, cells, strict=True)}

    return RowSource(path.name, columns, None, untyped=True, read=lambda _, size: _batched(_rows(), size))


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each line that is not empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from filter(None, csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise SourceError(f"the file must be CSV in UTF-8: {problem}", place=path.name) from problem


def _open_lines(path: Path) -> RowSource:
    def _rows() -> Iterator[Row]:
        with path.open("rb") as file:
            for number, line in enumerate(filter(bytes.strip, file), start=1):
                try:
                    yield msgspec.json.decode(line, type=Row)
                except (msgspec.DecodeError, UnicodeDecodeError) as problem:
                    rule = f"a line must be one JSON object: {problem}"
                    raise SourceError(rule, value=str(line[:80]), place=f"{path.name}, row {number}") from problem

    first = next(_rows(), None)
    total = 0 if first is None else None
    return RowSource(path.name, tuple(first or ()), total, untyped=False, read=lambda _, size: _batched(_rows(), size))


def _batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


_OPENERS: Mapping[str, Callable[[Path], RowSource]] = {
    ".parquet": _open_parquet,
    ".csv": _open_csv,
    ".jsonl": _open_lines,
    ".ndjson": _open_lines,
    ".json": lambda path: json_rows(path.read_bytes(), path.name),
}


_ENDINGS = (".parquet", ".csv", ".jsonl", ".ndjson")


class PredictionFile:
    """A Parquet, CSV or JSONL file with the columns ``id``, ``version`` and ``prediction``.

    With more than two classes, each has a column ``prediction.CLASS``. Rows are written to the disk as they come, so
    that any number of them fits. An earlier file is replaced when the context ends without an error.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() not in _ENDINGS:
            raise SettingsError(f"--out must end in {', '.join(_ENDINGS)}", value=path.name)
        if not path.parent.is_dir():
            raise SettingsError("the folder of --out must exist", value=str(path.parent))
        self.path = path
        self._rows = path.with_name(f".{path.name}.{os.getpid()}.rows")
        self._whole = path.with_name(f".{path.name}.{os.getpid()}.whole")
        self._columns: tuple[str, ...] = ("id", "version", "prediction")

    def __enter__(self) -> PredictionFile:
        self._file = self._rows.open("xb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        try:
            if kind is None:
                self._write_whole().replace(self.path)
        finally:
            self._rows.unlink(missing_ok=True)
            self._whole.unlink(missing_ok=True)

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Append predictions."""
        for prediction in predictions:
            row: dict[str, Any] = {"id": prediction.id, "version": prediction.version}
            if isinstance(prediction.value, dict):
                row |= {f"prediction.{name}": chance for name, chance in prediction.value.items()}
            else:
                row["prediction"] = prediction.value
            self._columns = tuple(row)
            self._file.write(msgspec.json.encode(row) + b"\n")

    def _write_whole(self) -> Path:
        ending = self.path.suffix.lower()
        if ending in {".jsonl", ".ndjson"}:
            return self._rows
        import polars as pl

        kinds: dict[str, Any] = {"id": pl.String(), "version": pl.Int64()}
        schema = {column: kinds.get(column, pl.Float64()) for column in self._columns}
        rows = pl.scan_ndjson(escape(str(self._rows)), schema=schema)  # Polars always reads this path as a pattern
        (rows.sink_csv if ending == ".csv" else rows.sink_parquet)(self._whole)
        return self._whole
