"""``everfit outcomes``: outcomes in a file are reported to the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from everfit.cli.options import ProjectFolder, RequiredModelName
from everfit.cli.output import Output, done
from everfit.cli.printing import printed
from everfit.cli.row_files import Row, open_rows
from everfit.cli.service_options import BatchRows, ServiceUrl, id_of, naming_rows, open_client, typed
from everfit.client.records import ModelDescription
from everfit.core.progress import Progress

_KNOWN_AT = "known_at"
_FILE = typer.Argument(help="File with ids and values: .parquet, .csv, .jsonl or .json.", exists=True)
_VALUE = "Column with the outcomes; an empty value withdraws an earlier outcome."
_KNOWN_AT_OPTION = typer.Option(
    "--known-at",
    help="Column with the time at which the outcome was known; without one, now.",
    show_default="known_at, if there is one",
)


@printed
def outcomes(
    progress: Progress,
    model: RequiredModelName,
    file: Annotated[Path, _FILE],
    id_column: Annotated[str, typer.Option("--id", help="Column with the predictions' ids.")] = "id",
    value_column: Annotated[str, typer.Option("--value", help=_VALUE)] = "value",
    known_at_column: Annotated[str | None, _KNOWN_AT_OPTION] = None,
    batch: BatchRows = 1000,
    url: ServiceUrl = None,
    project: ProjectFolder = None,
) -> Output:
    """Report outcomes of predictions to a running service.

    Reporting the same outcomes again changes nothing; a later value of the same id replaces the earlier one.
    """
    source = open_rows(file)
    if known_at_column is None and _KNOWN_AT in source.columns:
        known_at_column = _KNOWN_AT
    names = {"id": id_column, "value": value_column} | ({_KNOWN_AT: known_at_column} if known_at_column else {})
    source.require(*names.values())
    accepted, task = 0, f"Reporting to {model}"
    with open_client(url, project) as client:
        described = client.model(model)
        progress.start(task, source.total)
        for first, rows in source.batches(list(names.values()), batch):
            remedy = f"The {accepted:,} rows before it were accepted; they may be sent again." if accepted else ""
            with naming_rows(source.name, first, len(rows), remedy=remedy):
                reports = [
                    _outcome(row, names, described, number, untyped=source.untyped) for number, row in enumerate(rows)
                ]
                accepted += client.outcomes(model, reports)
            progress.advance(task, len(rows))
        progress.finish(task, note=f"{accepted:,} outcomes")
    return done({"model": model, "outcomes": accepted}, f"{accepted:,} outcomes of {model} recorded.")


def _outcome(row: Row, names: dict[str, str], model: ModelDescription, number: int, *, untyped: bool) -> dict[str, Any]:
    place = f"outcomes[{number}]"
    report = {name: row.get(column) for name, column in names.items()}
    report["id"] = id_of(row, names["id"], place=place)
    if untyped:
        # A class is sent by its name, whatever its type; the service accepts every spelling.
        kind = "number" if model.task == "regression" else "string"
        report["value"] = typed(report["value"], kind, place=f"{place}.{names['value']}")
    if isinstance(report.get(_KNOWN_AT), str):
        report[_KNOWN_AT] = typed(report[_KNOWN_AT], "instant", place=f"{place}.{names[_KNOWN_AT]}")
    return report
