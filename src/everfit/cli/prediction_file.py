"""A file of predictions that appears under its name once it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterable
from glob import escape
from pathlib import Path
from typing import Any

import msgspec

from everfit.client.records import Prediction
from everfit.core.errors import SettingsError

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
