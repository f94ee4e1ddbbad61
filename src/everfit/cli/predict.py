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

from everfit.cli.options import AsJson, ProjectFolder, RequiredModelName
from everfit.cli.output import CAUTION, OK, Bars, bold, print_error, print_json, print_line
from everfit.cli.row_files import PredictionFile, RowSource, json_rows, open_rows
from everfit.cli.service_options import BatchRows, ServiceUrl, id_of, naming_rows, open_client, typed
from everfit.client.client import Client
from everfit.client.records import Prediction
from everfit.core.errors import SettingsError

_ROWS = (
    "A file of rows (.parquet, .csv, .jsonl, .json), one JSON object or a list of them, or - for "
    "JSON from standard input."
)
_OUT = typer.Option("--out", help="Write the predictions to this file: .parquet, .csv or .jsonl.", show_default=False)
_ID = typer.Option("--id", help="Column with the predictions' ids.", show_default="new ids")


def predict(
    model: RequiredModelName,
    rows: Annotated[str, typer.Argument(help=_ROWS)] = "-",
    out: Annotated[Path | None, _OUT] = None,
    id_column: Annotated[str | None, _ID] = None,
    batch: BatchRows = 1000,
    url: ServiceUrl = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Request predictions from a running service."""
    source, is_file = _source(rows)
    versions: Counter[int] = Counter()
    missing: Counter[str] = Counter()
    kept: list[Prediction] = []
    with ExitStack() as stack:
        file = None if out is None else stack.enter_context(PredictionFile(out))
        client = stack.enter_context(open_client(url, project))
        progress = stack.enter_context(Bars(quiet=as_json or file is None))
        task = f"Predicting with {model}"
        progress.start(task, source.total)
        for predictions in _predictions(client, model, source, id_column, batch, only_fields=is_file):
            versions.update(one.version for one in predictions)
            missing.update(view for one in predictions for view in one.missing)
            progress.advance(task, len(predictions))
            if file is not None:
                file.write(predictions)
            elif as_json:
                kept += predictions
            else:
                for one in predictions:
                    value = f"{one.value:.4f}" if isinstance(one.value, float) else json.dumps(one.value)
                    print_line(one.id, "", bold(value), "", f"(version {one.version})")
        progress.finish(task, note=f"{versions.total():,} rows")
    if as_json and out is None:
        print_json(_document(kept))
    elif as_json:
        counts = {"rows": versions.total(), "versions": versions, "missing": missing}
        print_json({"model": model, **counts, "out": str(out)})
    else:
        for view, count in missing.items():
            print_line(CAUTION, f"{view} had no usable row for {count:,} predictions; its features were missing.")
        if out is not None:
            named = ", ".join(map(str, sorted(versions))) or "none"
            print_line(OK, f"{out}: {versions.total():,} predictions of {model}, version {named}.")


def _predictions(
    client: Client, model: str, source: RowSource, id_column: str | None, size: int, *, only_fields: bool
) -> Iterator[list[Prediction]]:
    """Request predictions of the rows of a source; yield those of each batch of at most ``size`` rows.

    Raises :class:`SourceError` if a field or the ids are not among the columns.
    """
    types = {field.name: field.type for field in client.model(model).request}
    named = () if id_column is None else (id_column,)
    source.require(*(types if only_fields else ()), *named)
    columns = [column for column in source.columns if column in {*types, *named}]
    ignored = [column for column in source.columns if column not in columns]
    if only_fields and ignored:
        print_error(f"Not sent, since they are no request fields of {model}: {', '.join(ignored)}.")

    def is_sent(name: str) -> bool:
        return name in types or (not only_fields and name != id_column)

    def value_of(text: Any, name: str, number: int) -> Any:
        return typed(text, types[name], place=f"inputs[{number}].{name}") if source.untyped else text

    for first, rows in source.batches(columns, size):
        with naming_rows(source.name, first, len(rows)):
            inputs = [
                {name: value_of(value, name, number) for name, value in row.items() if is_sent(name)}
                for number, row in enumerate(rows)
            ]
            ids = None
            if id_column is not None:
                ids = [id_of(row, id_column, place=f"inputs[{number}]") for number, row in enumerate(rows)]
            predictions = client.predict(model, inputs, ids=ids)
        yield predictions


def _source(rows: str) -> tuple[RowSource, bool]:
    """Return the rows, and ``True`` if they are a file's."""
    if rows == "-":
        return json_rows(sys.stdin.read()), False
    if rows.lstrip().startswith(("{", "[")):
        return json_rows(rows), False
    if not os.path.isfile(rows):  # unlike Path, it takes a text of any length
        raise SettingsError("ROWS must be a file that exists, JSON, or - for standard input", value=rows)
    return open_rows(Path(rows)), True


def _document(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return predictions in the form of the service's response, as if all rows had been sent at once."""
    versions = [one.version for one in predictions]
    missing: dict[str, list[int]] = {}
    for place, one in enumerate(predictions):
        for view in one.missing:
            missing.setdefault(view, []).append(place)
    return {
        "predictions": [one.value for one in predictions],
        "ids": [one.id for one in predictions],
        "version": versions[0] if versions else None,
        **({"versions": versions} if len(set(versions)) > 1 else {}),
        **({"missing": missing} if missing else {}),
    }
