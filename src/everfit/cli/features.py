"""``everfit features``: the feature store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from everfit.cli.options import AsJson, AsOf, ModelName, ProjectFolder

if TYPE_CHECKING:
    from everfit.features.parity import ParityReport

app = typer.Typer(
    help="The feature store: list, materialize, get, parity.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_views(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """List the feature views with their entities, ttl and features."""
    from everfit.cli.output import print_json, print_rows
    from everfit.commands.features import describe_views
    from everfit.wiring import open_system

    found = describe_views(open_system(project))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            each.name,
            ", ".join(each.keys),
            each.source,
            each.ttl,
            ", ".join(each.features),
            each.materialized_until or "never",
        )
        for each in found
    ]
    print_rows("", ("view", "keys", "source", "ttl", "features", "materialized until"), rows)


@app.command()
def materialize(
    views: Annotated[
        list[str] | None, typer.Argument(help="Views; all of them by default.", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Nothing known later is written.", show_default="now")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Write everything again, not only what is new.")] = False,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Bring the online store up to date with what is new in the sources."""
    from everfit.cli.instants import read_moment
    from everfit.cli.output import print_json, print_rows
    from everfit.cli.progress_bars import Bars
    from everfit.loop.materialize_job import materialize as run
    from everfit.wiring import open_system

    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        done = run(system, views, until=read_moment(until, name="--until"), full=full, progress=progress)
    if as_json:
        print_json(done)
        return
    rows = [(each.view, f"{each.rows_read:,}", f"{each.entities_written:,}", f"{each.seconds:.2f} s") for each in done]
    print_rows("", ("view", "rows read", "entities written", "time"), rows)


@app.command()
def get(
    view: Annotated[str, typer.Argument(help="The feature view.")],
    key: Annotated[list[str], typer.Argument(help="The key's values, in the order of the view's entities.")],
    at: AsOf = None,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show what the online store answers for one entity."""
    from everfit.cli.instants import read_moment
    from everfit.cli.output import print_json, print_line
    from everfit.commands.features import online_features
    from everfit.wiring import open_system

    values = online_features(open_system(project), view, key, at=read_moment(at, name="--as-of"))
    if as_json:
        print_json({"view": view, "key": key, "features": values})
    elif values is None:
        print_line(
            f"{view} has no usable row for {', '.join(key)}: it is unknown, not materialized, older than its ttl, "
            "or later than the time asked for."
        )
    else:
        for name, value in values.items():
            print_line(f"{name} = {value}")
    if values is None:
        raise typer.Exit(1)


@app.command()
def parity(
    model: ModelName = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Leave out what was asked earlier.", show_default="all")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Look at so many answers at most, those recorded last.")
    ] = 10_000,
    tolerate: Annotated[
        float,
        typer.Option(
            "--tolerate", min=0.0, max=1.0, help="Exit with 1 if a larger share of answers differs than this."
        ),
    ] = 0.01,
    project: ProjectFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compute the features of recorded answers again from history, and compare them with those that were served."""
    from everfit.cli.instants import read_instant
    from everfit.cli.output import print_json
    from everfit.cli.progress_bars import Bars
    from everfit.loop.feature_parity import parity as run
    from everfit.wiring import open_system

    first = read_instant(since, name="--since")
    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        report = run(system, model, since=first, limit=limit, progress=progress)
    if as_json:
        print_json(report)
    else:
        _print_parity(report)
    if report.share_different > tolerate:
        raise typer.Exit(1)


def _print_parity(report: ParityReport) -> None:
    from everfit.cli.output import CAUTION, OK, print_line, print_rows

    rows = [(each.feature, f"{each.rows:,}", f"{each.different:,}", f"{each.equal:.2%}") for each in report.features]
    print_rows("", ("feature", "answers", "different", "equal"), rows)
    if report.differences:
        columns = ("asked at", "id", "version", "feature", "served", "history")
        first = [
            (each.asked_at, each.id, each.version, each.feature, each.served, each.recomputed)
            for each in report.differences
        ]
        print_rows("First differences", columns, first)
    for lag in report.lags:
        behind = "" if lag.longest_s is None else f", up to {lag.longest_s:,.0f} s older"
        print_line(
            CAUTION,
            f"{lag.view} lags: {lag.behind:,} answers had an older value than history knew{behind}; "
            f"{lag.absent:,} had none.",
        )
    for name in report.unknown:
        print_line(CAUTION, f"{name} was served, but the definitions no longer make it.")
    mark = CAUTION if report.different else OK
    print_line(mark, f"{report.different:,} of {report.rows:,} answers differ ({report.share_different:.2%}).")
