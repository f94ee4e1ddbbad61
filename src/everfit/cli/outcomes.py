"""``everfit outcomes``: report what became of predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from everfit.cli.options import AsJson, ProjectFolder
from everfit.cli.service_options import BatchRows, ServiceUrl, id_of, naming_rows, open_client, typed

if TYPE_CHECKING:
    from everfit.cli.row_source import Row, RowSource
    from everfit.client.records import ModelDescription

_KNOWN_AT = "known_at"


def outcomes(
    model: Annotated[str, typer.Argument(help="Model.")],
    file: Annotated[
        Path, typer.Argument(help="A file with ids and values: .parquet, .csv, .jsonl or .json.", exists=True)
    ],
    id_column: Annotated[str, typer.Option("--id", help="Column with the predictions' ids.")] = "id",
    value_column: Annotated[
        str, typer.Option("--value", help="Column with what became of them; nothing takes an outcome back.")
    ] = "value",
    known_at_column: Annotated[
        str | None,
        typer.Option(
            "--known-at", help="Column with the instant at which that was known; without it, now.",
            show_default="known_at, if there is one",
        ),
    ] = None,
    batch: BatchRows = 1000,
    url: ServiceUrl = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Report outcomes to a running service; reporting them again does no harm, and a later value corrects."""
    from everfit.cli.output import OK, print_json, print_line
    from everfit.cli.progress_bars import Bars
    from everfit.cli.row_source import open_rows

    source = open_rows(file)
    if known_at_column is None and _KNOWN_AT in source.columns:
        known_at_column = _KNOWN_AT
    names = {"id": id_column, "value": value_column} | ({_KNOWN_AT: known_at_column} if known_at_column else {})
    source.require(*names.values())
    taken = 0
    task = f"Reporting to {model}"
    with open_client(url, project) as client, Bars(quiet=as_json) as progress:
        described = client.model(model)
        progress.start(task, source.total)
        for first, rows in _numbered(source, list(names.values()), batch):
            remedy = f"The {taken:,} rows before are taken; sending them again does no harm." if taken else ""
            with naming_rows(source.name, first, len(rows), remedy=remedy):
                told = [
                    _outcome(row, names, described, number, untyped=source.untyped) for number, row in enumerate(rows)
                ]
                taken += client.outcomes(model, told)
            progress.advance(task, len(rows))
        progress.finish(task, note=f"{taken:,} outcomes")
    if as_json:
        print_json({"model": model, "outcomes": taken})
    else:
        print_line(OK, f"{taken:,} outcomes of {model} are on record.")


def _numbered(source: RowSource, columns: Sequence[str], size: int) -> Iterator[tuple[int, list[Row]]]:
    first = 1
    for rows in source.read(columns, size):
        yield first, rows
        first += len(rows)


def _outcome(row: Row, names: dict[str, str], model: ModelDescription, number: int, *, untyped: bool) -> dict[str, Any]:
    place = f"outcomes[{number}]"
    told = {name: row.get(column) for name, column in names.items()}
    told["id"] = id_of(row, names["id"], place=place)
    if untyped:
        # A class goes by its name, whatever it is; the service knows its spellings.
        kind = "number" if model.task == "regression" else "string"
        told["value"] = typed(told["value"], kind, place=f"{place}.{names['value']}")
    if isinstance(told.get(_KNOWN_AT), str):
        told[_KNOWN_AT] = typed(told[_KNOWN_AT], "instant", place=f"{place}.{names[_KNOWN_AT]}")
    return told
