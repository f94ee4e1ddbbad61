"""``everfit predict``: predictions of a row, or of a file of rows, by the running service."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import CAUTION, OK, bold, print_error, print_json, print_line
from everfit.cli.prediction_file import PredictionFile
from everfit.cli.progress_bars import Bars
from everfit.cli.row_source import Row, RowSource, json_rows, open_rows
from everfit.cli.service_options import BatchRows, ServiceUrl, id_of, naming_rows, open_client, typed
from everfit.client.client import Client
from everfit.client.records import ModelDescription, Prediction
from everfit.core.errors import SettingsError


def predict(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    rows: Annotated[
        str,
        typer.Argument(
            help="A file of rows (.parquet, .csv, .jsonl, .json), one JSON object or a list of them, or - for "
            "JSON from standard input."
        ),
    ] = "-",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the predictions to this file: .parquet, .csv or .jsonl.", show_default=False),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option("--id", help="Column with the predictions' ids.", show_default="new ids"),
    ] = None,
    batch: BatchRows = 1000,
    url: ServiceUrl = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Request predictions from a running service."""
    source, is_file = _source(rows)
    with ExitStack() as stack:
        file = None if out is None else stack.enter_context(PredictionFile(out))
        client = stack.enter_context(open_client(url, project))
        requests = _Requests(client, model, source, id_column, only_fields=is_file)
        tally = _Tally(keep=file is None and as_json)
        progress = stack.enter_context(Bars(quiet=as_json or file is None))
        task = f"Predicting with {model}"
        progress.start(task, source.total)
        for predictions in requests.send(batch):
            tally.add(predictions)
            progress.advance(task, len(predictions))
            if file is not None:
                file.write(predictions)
            elif not as_json:
                _show(predictions)
        progress.finish(task, note=f"{tally.rows:,} rows")
    _conclude(model, tally, out, as_json=as_json)


class _Requests:
    """Requests for predictions of the rows of a source, with the fields that a model takes.

    Raises:
        SourceError: If a field or the ids are not among the columns.
    """

    def __init__(
        self, client: Client, model: str, source: RowSource, id_column: str | None, *, only_fields: bool
    ) -> None:
        self._client = client
        self._model: ModelDescription = client.model(model)
        self._source = source
        self._id = id_column
        self._types = {field.name: field.type for field in self._model.request}
        self._only_fields = only_fields
        named = () if id_column is None else (id_column,)
        source.require(*(self._types if only_fields else ()), *named)
        self._columns = [column for column in source.columns if column in {*self._types, *named}]
        ignored = [column for column in source.columns if column not in self._columns]
        if only_fields and ignored:
            print_error(f"Not sent, since they are no request fields of {model}: {', '.join(ignored)}.")

    def send(self, size: int) -> Iterator[list[Prediction]]:
        """Yield the predictions of each batch of at most ``size`` rows."""
        first = 1
        for rows in self._source.read(self._columns, size):
            with naming_rows(self._source.name, first, len(rows)):
                inputs = [self._fields(row, number) for number, row in enumerate(rows)]
                ids = None if self._id is None else self._ids(rows, self._id)
                predictions = self._client.predict(self._model.name, inputs, ids=ids)
            yield predictions
            first += len(rows)

    def _ids(self, rows: Sequence[Row], column: str) -> list[str]:
        return [id_of(row, column, place=f"inputs[{number}]") for number, row in enumerate(rows)]

    def _fields(self, row: Row, number: int) -> Row:
        sent = {
            name: value
            for name, value in row.items()
            if name in self._types or (not self._only_fields and name != self._id)
        }
        if not self._source.untyped:
            return sent
        return {name: typed(value, self._types[name], place=f"inputs[{number}].{name}") for name, value in sent.items()}


class _Tally:
    """Counts of the predictions so far."""

    def __init__(self, *, keep: bool) -> None:
        self.rows = 0
        self.versions: Counter[int] = Counter()
        self.missing: Counter[str] = Counter()
        self.kept: list[Prediction] | None = [] if keep else None

    def add(self, predictions: Sequence[Prediction]) -> None:
        self.rows += len(predictions)
        self.versions.update(one.version for one in predictions)
        self.missing.update(view for one in predictions for view in one.missing)
        if self.kept is not None:
            self.kept += predictions


def _source(rows: str) -> tuple[RowSource, bool]:
    """Return the rows, and ``True`` if they are a file's."""
    if rows == "-":
        return json_rows(sys.stdin.read()), False
    if rows.lstrip().startswith(("{", "[")):
        return json_rows(rows), False
    if not os.path.isfile(rows):  # unlike Path, it takes a text of any length
        raise SettingsError("ROWS must be a file that exists, JSON, or - for standard input", value=rows)
    return open_rows(Path(rows)), True


def _show(predictions: Sequence[Prediction]) -> None:
    for one in predictions:
        shown = f"{one.value:.4f}" if isinstance(one.value, float) else json.dumps(one.value)
        print_line(one.id, "", bold(shown), "", f"(version {one.version})")


def _conclude(model: str, tally: _Tally, out: Path | None, *, as_json: bool) -> None:
    if tally.kept is not None:
        print_json(_document(tally.kept))
    elif as_json:
        document: dict[str, Any] = {"model": model, "rows": tally.rows, "versions": tally.versions}
        print_json(document | {"missing": tally.missing, "out": str(out)})
    else:
        for view, rows in tally.missing.items():
            print_line(CAUTION, f"{view} had no usable row for {rows:,} predictions; its features were missing.")
        if out is not None:
            versions = ", ".join(map(str, sorted(tally.versions))) or "none"
            print_line(OK, f"{out}: {tally.rows:,} predictions of {model}, version {versions}.")


def _document(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return predictions in the form of the service's response, as if all rows had been sent at once."""
    versions = [one.version for one in predictions]
    missing: dict[str, list[int]] = {}
    for place, one in enumerate(predictions):
        for view in one.missing:
            missing.setdefault(view, []).append(place)
    document: dict[str, Any] = {"predictions": [one.value for one in predictions]}
    document |= {"ids": [one.id for one in predictions], "version": versions[0] if versions else None}
    document |= {"versions": versions} if len(set(versions)) > 1 else {}
    return document | ({"missing": missing} if missing else {})
