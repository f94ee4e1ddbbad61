"""Feature parity: comparison of served features with those recomputed from history.

A view is stale if served values were true earlier, since the online store lagged behind history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
from msgspec import Struct

from everfit.core.columns import TIME
from everfit.core.duration import format_roughly
from everfit.core.evidence import ID
from everfit.core.finding import Finding
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.definitions.view import FeatureView
from everfit.features.history import features_of, joinable
from everfit.features.join import point_in_time_join
from everfit.store.reader import Reader
from everfit.store.value_equality import equal_values, same_type

VERSION, SERVED = "version", "feature."
KNOWN_UNTIL = "known_until"
"""Column: the instant up to which the online store could know history, if that is before the request."""
_ROW, _THEN, _KNOWN, _NEWEST = "__row", "__then", "__known", "__newest"
_MOST_ROWS = 1_000
"""Only the oldest so many of the differing rows are searched for in history."""


class FeatureParity(Struct, frozen=True, kw_only=True):
    """Comparison of one feature, as served and as recomputed."""

    feature: str
    rows: int
    """Rows in which a version used it."""
    different: int
    equal: float
    """Share of rows in which both are equal."""


class Difference(Struct, frozen=True, kw_only=True):
    """A value that differs."""

    id: str
    version: int
    asked_at: datetime | None
    feature: str
    served: float | bool | str | None
    recomputed: float | bool | str | None


class ViewLag(Struct, frozen=True, kw_only=True):
    """Staleness of a view: it was served from older rows than history had."""

    view: str
    behind: int
    """Rows that were served an older value of their entity; an equal value by chance is counted as well."""
    absent: int
    """Rows that were given nothing where history has a value; so is a question about the past, for which the online
    store, with only the newest value, has no answer."""
    longest_s: float | None
    """The largest lag, in seconds."""


class ParityReport(Struct, frozen=True, kw_only=True):
    """Result of the comparison."""

    model: str
    as_of: datetime
    first: datetime | None
    """Time of the oldest request."""
    rows: int
    different: int
    """Rows in which any feature differs."""
    share_different: float
    features: tuple[FeatureParity, ...]
    """The least equal first."""
    differences: tuple[Difference, ...]
    """The oldest few of each feature, oldest first."""
    lags: tuple[ViewLag, ...]
    """Stale views."""
    unknown: tuple[str, ...]
    """Features that versions used and the definitions no longer have; they are not compared."""
    other_definitions: tuple[str, ...] = ()
    """Views that versions read by another definition than today's, as ``view of version N``; they are not compared."""


def compare_features(
    model: Model,
    reader: Reader,
    served: pl.DataFrame,
    used: Mapping[int, Collection[str]],
    *,
    as_of: datetime,
    progress: Progress = SILENT,
) -> ParityReport:
    """Recompute the features of predictions and compare them row by row.

    Every row sees what was known at its own time, as in a training frame. Numbers are equal within ``1e-9`` of their
    size; a missing value equals a missing value, and NaN is one.

    Args:
        model: As it is defined now.
        reader: Reads its sources.
        served: :data:`~everfit.core.evidence.ID`, ``version``, the time of the request as
            :data:`~everfit.core.evidence.TIME`, the request's fields under their own names, and features as
            ``feature.<name>``; with :data:`KNOWN_UNTIL`, the values that history had by then are right as well.
        used: The features that each version looks up or computes; rows of other versions are left out.
        as_of: Nothing known later is used.
        progress: Called for each view.
    """
    served = served.filter(pl.col(VERSION).is_in(list(used))).sort(TIME, ID)
    again = features_of(model, reader, served.select(TIME, *model.request), as_of=as_of, progress=progress)
    names = [name for name in again.columns if any(name in features for features in used.values())]
    pairs = {name: same_type(_served(served, name), again[name]) for name in names}
    wrong = pl.DataFrame(
        {name: ~equal_values(*pair) & _uses(served, used, name) for name, pair in pairs.items()},
        schema=dict.fromkeys(names, pl.Boolean),
    )
    if KNOWN_UNTIL in served.columns and names:
        wrong = _wrong_then(model, reader, served, wrong, as_of=as_of)
    different = int(wrong.select(pl.any_horizontal(pl.all()).sum()).item()) if names else 0
    rows = served.height
    return ParityReport(
        model=model.name,
        as_of=as_of,
        first=served[TIME].min(),  # type: ignore[arg-type]
        rows=rows,
        different=different,
        share_different=different / rows if rows else 0.0,
        features=tuple(sorted(_features(served, used, wrong), key=lambda feature: (feature.equal, feature.feature))),
        differences=_differences(served, wrong, pairs),
        lags=tuple(filter(None, (_lag_of(view, reader, served, wrong, pairs, as_of=as_of) for view in model.views))),
        unknown=tuple(sorted(set().union(*used.values()) - set(again.columns))),
    )


def parity_finding(report: ParityReport, model: str) -> Finding | None:
    """Return the finding of a report; ``None`` while at most 1 % of the rows differ."""
    if report.share_different <= 0.01:
        return None
    worst = report.features[0]
    sentence = (
        f"{report.different:,} of {report.rows:,} predictions ({report.share_different:.1%}) had features that "
        f"history does not confirm, most of all {worst.feature}, which differs in {worst.different:,}."
    )
    for lag in report.lags:
        behind = f", by up to {format_roughly(timedelta(seconds=lag.longest_s))}" if lag.longest_s else ""
        sentence += f" The view {lag.view} lags: {lag.behind:,} rows had an older value{behind}, {lag.absent:,} none."
    return Finding(
        kind="parity",
        model=model,
        severity="critical" if report.share_different >= 0.1 else "warning",
        sentence=sentence,
        numbers={"share_different": report.share_different, "rows": report.rows, "different": report.different},
        since=report.differences[0].asked_at if report.differences else None,
    )


def _wrong_then(
    model: Model, reader: Reader, served: pl.DataFrame, wrong: pl.DataFrame, *, as_of: datetime
) -> pl.DataFrame:
    """Keep the wrong values that were also wrong at the online store's latest materialization."""
    looked_at = wrong.select(pl.any_horizontal(pl.all())).to_series() & (served[KNOWN_UNTIL] < served[TIME])
    rows = looked_at.fill_null(value=False).arg_true()
    if rows.is_empty():
        return wrong
    then = served[rows]
    again = features_of(model, reader, then.select(pl.col(KNOWN_UNTIL).alias(TIME), *model.request), as_of=as_of)
    right = {name: equal_values(*same_type(_served(then, name), again[name])) for name in wrong.columns}
    return pl.DataFrame([column.scatter(rows, column[rows] & ~right[column.name]) for column in wrong])


def _served(served: pl.DataFrame, name: str) -> pl.Series:
    if f"{SERVED}{name}" in served.columns:
        return served[f"{SERVED}{name}"]
    return pl.repeat(None, served.height, dtype=pl.Null, eager=True)


def _uses(served: pl.DataFrame, used: Mapping[int, Collection[str]], name: str) -> pl.Series:
    return served[VERSION].is_in([version for version, features in used.items() if name in features])


def _features(
    served: pl.DataFrame, used: Mapping[int, Collection[str]], wrong: pl.DataFrame
) -> Iterator[FeatureParity]:
    for name in wrong.columns:
        rows, different = int(_uses(served, used, name).sum()), int(wrong[name].sum())
        yield FeatureParity(feature=name, rows=rows, different=different, equal=1.0 - different / rows if rows else 1.0)


def _differences(
    served: pl.DataFrame, wrong: pl.DataFrame, pairs: Mapping[str, tuple[pl.Series, pl.Series]]
) -> tuple[Difference, ...]:
    shown = sorted((row, name) for name in wrong.columns for row in wrong[name].arg_true().head(3))
    return tuple(
        Difference(
            id=served[ID][row],
            version=served[VERSION][row],
            asked_at=served[TIME][row],
            feature=name,
            served=_plain(pairs[name][0][row]),
            recomputed=_plain(pairs[name][1][row]),
        )
        for row, name in shown
    )


def _plain(value: object) -> float | bool | str | None:
    return value if value is None or isinstance(value, float | bool | str) else str(value)


def _lag_of(
    view: FeatureView,
    reader: Reader,
    asked: pl.DataFrame,
    wrong: pl.DataFrame,
    pairs: Mapping[str, tuple[pl.Series, pl.Series]],
    *,
    as_of: datetime,
) -> ViewLag | None:
    """Measure a view's staleness; ``None`` if none of the differing rows is explained by it.

    ``asked`` has the keys, and when it was asked in :data:`~everfit.core.evidence.TIME`; ``wrong``, by feature, true
    where it differs; ``pairs``, by feature, the served and the recomputed values, in one type.
    """
    names = [name for name in wrong.columns if name.startswith(f"{view.name}.")]
    if not names or not wrong.select(pl.any_horizontal(names).any()).item():
        return None
    served, again = (pl.DataFrame([pairs[name][place].alias(name) for name in names]) for place in (0, 1))
    differs = wrong.select(pl.any_horizontal(names)).to_series()
    nothing = served.select(pl.all_horizontal(pl.all().is_null())).to_series()
    something = again.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    looked_for = asked.select(TIME, *view.keys).hstack(served).filter(differs & ~nothing & asked[TIME].is_not_null())
    older = _older(view, reader, looked_for.head(_MOST_ROWS), names, as_of=as_of)
    absent, longest_s = int((differs & nothing & something).sum()), max(older).total_seconds() if older else None
    lag = ViewLag(view=view.name, behind=len(older), absent=absent, longest_s=longest_s)
    return lag if lag.behind or lag.absent else None


def _older(
    view: FeatureView, reader: Reader, asked: pl.DataFrame, names: list[str], *, as_of: datetime
) -> list[timedelta]:
    """Return the lag of each row that was served a value that had been true earlier."""
    if asked.is_empty():
        return []
    first = asked[TIME].min()
    assert isinstance(first, datetime)
    history = joinable(view, reader, first=first, as_of=as_of)
    asked = asked.with_columns(pl.col(entity.key).cast(entity.dtype, strict=False) for entity in view.entities)
    then = history.rows.with_columns(pl.col(history.time).alias(_THEN))
    newest = point_in_time_join(asked, [replace(history, rows=then, features=[_THEN])], time=TIME)
    questions = newest.rename({f"{view.name}.{_THEN}": _NEWEST}).with_row_index(_ROW)
    rows = history.rows.select(
        *view.keys,
        pl.col(history.time).alias(_THEN),
        pl.col(history.created or history.time).alias(_KNOWN),
        *(_as(name.removeprefix(f"{view.name}."), asked.schema[name]).alias(name) for name in names),
    )
    same = rows.join(questions.lazy(), on=[*view.keys, *names], how="inner", nulls_equal=True)
    found = same.filter(pl.col(_THEN) <= pl.col(_NEWEST), pl.col(_KNOWN) <= pl.col(TIME))
    return found.group_by(_ROW).agg((pl.col(_NEWEST) - pl.col(_THEN)).min().alias("older")).collect()["older"].to_list()


def _as(feature: str, dtype: pl.DataType) -> pl.Expr:
    values = pl.col(feature).cast(dtype)
    return values.fill_nan(None) if dtype == pl.Float64 else values
