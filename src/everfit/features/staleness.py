"""Staleness of views: served values that were true earlier, since the online store lagged behind history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
from msgspec import Struct

from everfit.core.columns import TIME
from everfit.definitions.view import FeatureView
from everfit.features.history import joinable
from everfit.features.join import point_in_time_join
from everfit.store.reader import Reader

_ROW, _THEN, _KNOWN, _NEWEST = "__row", "__then", "__known", "__newest"
_MOST_ROWS = 1_000
"""Only the oldest so many of the differing rows are searched for in history."""


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


def lag_of(
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
