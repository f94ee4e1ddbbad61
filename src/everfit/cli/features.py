"""``everfit features``: the feature store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Annotated

import typer

from everfit.cli.options import AsOf, ModelName, instant
from everfit.cli.output import CAUTION, OK, Item, Output, Table, listing
from everfit.cli.printing import printed
from everfit.commands.features import ViewDescription, describe_views, online_features
from everfit.core.progress import Progress
from everfit.features.parity import ParityReport
from everfit.loop import feature_parity
from everfit.system import System

_SINCE = instant("--since", help="Leave out predictions made earlier.", show_default="all")
_DEFINITION = typer.Option(
    "--definition", help="Another definition of the view, as 'everfit features list' shows it.", show_default="today's"
)
_LIMIT = typer.Option("--limit", min=1, help="Compare at most so many predictions, the newest.")
_TOLERATE = typer.Option("--tolerate", min=0.0, max=1.0, help="Exit with 1 if a larger share of predictions differs.")


@printed
def list_views(system: System) -> Output:
    """List the feature views: keys, source, ttl, features.

    Rows that deployed versions read by another definition of a view than today's are listed below it.
    """
    found = describe_views(system)
    columns = ("view", "keys", "source", "ttl", "features", "materialized until", "definition", "read by")
    return listing(found, columns, chain.from_iterable(map(_rows_of, found)))


def _rows_of(view: ViewDescription) -> Iterator[tuple[object, ...]]:
    own = ", ".join(view.keys), view.source, view.ttl, ", ".join(view.features)
    until = view.materialized_until or "never"
    yield view.name, *own, until, view.definition[7:15], ", ".join(view.readers)
    for other in view.others:
        until = other.materialized_until or "never"
        features = ", ".join(other.features)
        yield (
            view.name,
            ", ".join(other.keys),
            "",
            "",
            features,
            until,
            other.definition[7:15],
            ", ".join(other.readers),
        )


@printed
def get(
    system: System,
    view: Annotated[str, typer.Argument(help="The feature view.")],
    key: Annotated[list[str], typer.Argument(help="The key's values, in the order of the view's entities.")],
    at: AsOf = None,
    definition: Annotated[str, _DEFINITION] = "",
) -> Output:
    """Show the values of one entity in the online store."""
    values = online_features(system, view, key, at=at, definition=definition)
    document = {"view": view, "key": key, "features": values}
    if values is not None:
        return Output(document, [f"{name} = {value}" for name, value in values.items()])
    absent = (
        f"{view} has no usable row for {', '.join(key)}: the key is unknown, or its row is not materialized, "
        "older than the ttl, or later than --as-of."
    )
    return Output(document, [absent], code=1)


@printed
def parity(
    system: System,
    progress: Progress,
    model: ModelName = None,
    since: Annotated[datetime | None, _SINCE] = None,
    limit: Annotated[int, _LIMIT] = 10_000,
    tolerate: Annotated[float, _TOLERATE] = 0.01,
) -> Output:
    """Compare features as served with those from history."""
    report = feature_parity.parity(system, model, since=since, limit=limit, progress=progress)
    return Output(report, _text(report), code=1 if report.share_different > tolerate else 0)


def _text(report: ParityReport) -> Iterator[Item]:
    rows = ((one.feature, f"{one.rows:,}", f"{one.different:,}", f"{one.equal:.2%}") for one in report.features)
    yield Table(("feature", "predictions", "different", "equal"), rows)
    if report.differences:
        columns = ("requested at", "id", "version", "feature", "served", "history")
        first = (
            (one.asked_at, one.id, one.version, one.feature, one.served, one.recomputed) for one in report.differences
        )
        yield Table(columns, first, "First differences")
    for lag in report.lags:
        behind = "" if lag.longest_s is None else f", up to {lag.longest_s:,.0f} s older"
        yield (
            CAUTION,
            f"{lag.view} lags: {lag.behind:,} predictions used an older value than history has{behind}; "
            f"{lag.absent:,} used none.",
        )
    for name in report.unknown:
        yield CAUTION, f"{name} was served, but the definitions no longer compute it."
    for name in report.other_definitions:
        yield CAUTION, f"{name} is computed by another definition than today's, and was not compared."
    mark = CAUTION if report.different else OK
    yield mark, f"{report.different:,} of {report.rows:,} predictions differ ({report.share_different:.2%})."
