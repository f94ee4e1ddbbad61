"""``everfit predict``: ask a running service, about a row or about a file of them."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.output import CAUTION, OK, bold, print_error, print_json, print_line
from everfit.cli.service_options import BatchRows, ServiceUrl, id_of, naming_rows, open_client, typed
from everfit.core.errors import SettingsError

if TYPE_CHECKING:
    from everfit.cli.row_source import Row, RowSource
    from everfit.client.client import Client
    from everfit.client.records import ModelDescription, Prediction


def predict(
    model: Annotated[str, typer.Argument(help="Model.")],
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
        typer.Option("--id", help="Column with the predictions' ids.", show_default="the client makes them"),
    ] = None,
    batch: BatchRows = 1000,
    url: ServiceUrl = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Ask a running service for predictions."""
    from everfit.cli.prediction_file import AnswerFile
    from everfit.cli.progress_bars import Bars

    source, is_file = _source(rows)
    with ExitStack() as stack:
        answers = None if out is None else stack.enter_context(AnswerFile(out))
        client = stack.enter_context(open_client(url, project))
        questions = _Questions(client, model, source, id_column, only_fields=is_file)
        tally = _Tally(keep=answers is None and as_json)
        progress = stack.enter_context(Bars(quiet=as_json or answers is None))
        task = f"Asking {model}"
        progress.start(task, source.total)
        for predictions in questions.ask(batch):
            tally.add(predictions)
            progress.advance(task, len(predictions))
            if answers is not None:
                answers.write(predictions)
            elif not as_json:
                _show(predictions)
        progress.finish(task, note=f"{tally.rows:,} rows")
    _conclude(model, tally, out, as_json=as_json)


class _Questions:
    """The rows of a source, as a model wants to be asked about them.

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
        self._columns = [each for each in source.columns if each in {*self._types, *named}]
        ignored = [each for each in source.columns if each not in self._columns]
        if only_fields and ignored:
            print_error(f"Not sent, as {model} does not ask for them: {', '.join(ignored)}.")

    def ask(self, size: int) -> Iterator[list[Prediction]]:
        """Every batch's predictions."""
        first = 1
        for rows in self._source.read(self._columns, size):
            with naming_rows(self._source.name, first, len(rows)):
                inputs = [self._question(row, number) for number, row in enumerate(rows)]
                ids = None if self._id is None else self._ids(rows, self._id)
                predictions = self._client.predict(self._model.name, inputs, ids=ids)
            yield predictions
            first += len(rows)

    def _ids(self, rows: Sequence[Row], column: str) -> list[str]:
        return [id_of(row, column, place=f"inputs[{number}]") for number, row in enumerate(rows)]

    def _question(self, row: Row, number: int) -> Row:
        sent = {
            name: value
            for name, value in row.items()
            if name in self._types or (not self._only_fields and name != self._id)
        }
        if not self._source.untyped:
            return sent
        return {name: typed(value, self._types[name], place=f"inputs[{number}].{name}") for name, value in sent.items()}


class _Tally:
    """What was answered."""

    def __init__(self, *, keep: bool) -> None:
        self.rows = 0
        self.versions: Counter[int] = Counter()
        self.missing: Counter[str] = Counter()
        self.kept: list[Prediction] | None = [] if keep else None

    def add(self, predictions: Sequence[Prediction]) -> None:
        self.rows += len(predictions)
        self.versions.update(each.version for each in predictions)
        self.missing.update(view for each in predictions for view in each.missing)
        if self.kept is not None:
            self.kept += predictions


def _source(rows: str) -> tuple[RowSource, bool]:
    """The rows, and whether they are a file's."""
    from everfit.cli.row_source import json_rows, open_rows

    if rows == "-":
        return json_rows(sys.stdin.read()), False
    if rows.lstrip().startswith(("{", "[")):
        return json_rows(rows), False
    if not os.path.isfile(rows):  # unlike Path, it takes a text of any length
        raise SettingsError("ROWS must be a file that exists, JSON, or - for standard input", value=rows)
    return open_rows(Path(rows)), True


def _show(predictions: Sequence[Prediction]) -> None:
    for each in predictions:
        value = each.value
        shown = f"{value:.4f}" if isinstance(value, float) else json.dumps(value)
        print_line(each.id, "", bold(shown), "", f"(version {each.version})")


def _conclude(model: str, tally: _Tally, out: Path | None, *, as_json: bool) -> None:
    if tally.kept is not None:
        print_json(_document(tally.kept))
    elif as_json:
        document: dict[str, Any] = {"model": model, "rows": tally.rows, "versions": tally.versions}
        print_json(document | {"missing": tally.missing, "out": str(out)})
    else:
        for view, rows in tally.missing.items():
            print_line(CAUTION, f"{view} held nothing for {rows:,} rows; its features were missing.")
        if out is not None:
            versions = ", ".join(map(str, sorted(tally.versions))) or "none"
            print_line(OK, f"{out}: {tally.rows:,} predictions of {model}, version {versions}.")


def _document(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """The answer in the service's own form, as if all had been asked at once."""
    versions = [each.version for each in predictions]
    missing: dict[str, list[int]] = {}
    for place, each in enumerate(predictions):
        for view in each.missing:
            missing.setdefault(view, []).append(place)
    document: dict[str, Any] = {"predictions": [each.value for each in predictions]}
    document |= {"ids": [each.id for each in predictions], "version": versions[0] if versions else None}
    document |= {"versions": versions} if len(set(versions)) > 1 else {}
    return document | ({"missing": missing} if missing else {})
