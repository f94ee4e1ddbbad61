"""``everfit features``: the feature store."""

from __future__ import annotations

from typing import Annotated

import typer

from everfit.cli.options import AsJson, AsOf, ProjectFolder

app = typer.Typer(help="The feature store: list, materialize, get.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_views(project: ProjectFolder = None, as_json: AsJson = False) -> None:
    """List the feature views with their entities, ttl and features."""
    from everfit.cli.output import print_json, print_rows
    from everfit.cycle import describe_views
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
    from everfit.cli.bars import Bars
    from everfit.cli.instants import read_instant
    from everfit.cli.output import print_json, print_rows
    from everfit.cycle import materialize as run
    from everfit.wiring import open_system

    system = open_system(project)
    with Bars(quiet=as_json) as progress:
        done = run(system, views, until=read_instant(until, name="--until"), full=full, progress=progress)
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
    from everfit.cli.instants import read_instant
    from everfit.cli.output import console, print_json
    from everfit.cycle import online_features
    from everfit.wiring import open_system

    values = online_features(open_system(project), view, key, at=read_instant(at, name="--as-of"))
    if as_json:
        print_json({"view": view, "key": key, "features": values})
    elif values is None:
        console().print(
            f"{view} has no usable row for {', '.join(key)}: it is unknown, not materialized, older than its ttl, "
            "or later than the time asked for."
        )
    else:
        for name, value in values.items():
            console().print(f"{name} = {value}")
    if values is None:
        raise typer.Exit(1)
