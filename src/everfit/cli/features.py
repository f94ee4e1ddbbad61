"""``everfit features``: the feature store."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.instants import read_instant, read_moment
from everfit.cli.options import AsJson, AsOf, ModelName, ProjectFolder
from everfit.cli.output import CAUTION, OK, print_json, print_line, print_records, print_rows
from everfit.cli.progress_bars import Bars
from everfit.commands.features import describe_views, online_features
from everfit.features.parity import ParityReport
from everfit.loop import feature_parity
from everfit.wiring import open_system


def list_views(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """List the feature views: keys, source, ttl, features."""
    found = describe_views(open_system(project))
    columns = ("view", "keys", "source", "ttl", "features", "materialized until")
    rows = (
        (one.name, ", ".join(one.keys), one.source, one.ttl, ", ".join(one.features), one.materialized_until or "never")
        for one in found
    )
    print_records(found, columns, rows, as_json=as_json)


def get(
    view: Annotated[str, typer.Argument(help="The feature view.")],
    key: Annotated[list[str], typer.Argument(help="The key's values, in the order of the view's entities.")],
    at: AsOf = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show the values of one entity in the online store."""
    values = online_features(open_system(project), view, key, at=read_moment(at, name="--as-of"))
    if as_json:
        print_json({"view": view, "key": key, "features": values})
    elif values is None:
        print_line(
            f"{view} has no usable row for {', '.join(key)}: the key is unknown, or its row is not materialized, "
            "older than the ttl, or later than --as-of."
        )
    else:
        for name, value in values.items():
            print_line(f"{name} = {value}")
    if values is None:
        raise typer.Exit(1)


def parity(
    model: ModelName = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Leave out predictions made earlier.", show_default="all")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Compare at most so many predictions, the newest.")
    ] = 10_000,
    tolerate: Annotated[
        float,
        typer.Option("--tolerate", min=0.0, max=1.0, help="Exit with 1 if a larger share of predictions differs."),
    ] = 0.01,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compare features as served with those from history."""
    first = read_instant(since, name="--since")
    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        report = feature_parity.parity(system, model, since=first, limit=limit, progress=progress)
    if as_json:
        print_json(report)
    else:
        _print_parity(report)
    if report.share_different > tolerate:
        raise typer.Exit(1)


def _print_parity(report: ParityReport) -> None:
    rows = [(one.feature, f"{one.rows:,}", f"{one.different:,}", f"{one.equal:.2%}") for one in report.features]
    print_rows("", ("feature", "predictions", "different", "equal"), rows)
    if report.differences:
        columns = ("requested at", "id", "version", "feature", "served", "history")
        first = [
            (one.asked_at, one.id, one.version, one.feature, one.served, one.recomputed) for one in report.differences
        ]
        print_rows("First differences", columns, first)
    for lag in report.lags:
        behind = "" if lag.longest_s is None else f", up to {lag.longest_s:,.0f} s older"
        print_line(
            CAUTION,
            f"{lag.view} lags: {lag.behind:,} predictions used an older value than history has{behind}; "
            f"{lag.absent:,} used none.",
        )
    for name in report.unknown:
        print_line(CAUTION, f"{name} was served, but the definitions no longer compute it.")
    mark = CAUTION if report.different else OK
    print_line(mark, f"{report.different:,} of {report.rows:,} predictions differ ({report.share_different:.2%}).")
