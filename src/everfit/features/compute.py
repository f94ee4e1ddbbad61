"""The one place that turns a feature view into rows, for history and for the online store alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from polars.datatypes import DataTypeClass

from everfit.core.errors import SourceError, TimestampError
from everfit.core.user_code import run_users
from everfit.definitions.column_types import key_fits, require_type
from everfit.definitions.entity import Entity
from everfit.definitions.view import FeatureView
from everfit.store.common_type import common_type
from everfit.store.known_values import hide_unknown, instant_of, known_columns
from everfit.store.plain_values import plain_values
from everfit.store.pushed_rows import FEATURE, KEY
from everfit.store.reader import Reader, SourcePart, require_columns
from everfit.store.time_range import TimeRange
from everfit.store.timestamps import instant_literal, require_instant, to_instant

_KNOWN = "__known_at"


def view_rows(
    view: FeatureView,
    reader: Reader,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
    keep_infinite: bool = False,
) -> pl.LazyFrame:
    """The view's rows with event times from ``since`` on, as they were known at ``as_of``.

    The computation sees only source rows that were known at ``as_of`` and, given ``since``, no further back than the
    view's look-back. A source row is known at its ``created``, or at its event time if the source has none; a null
    there means not known yet. Rows that were pushed to the view are among its rows, known at their own ``created``. A
    value that its source says to be known later is null in rows of before that time. An infinite value is missing,
    unless ``keep_infinite`` leaves it there to be counted.

    The columns are the keys in their entities' types, integers as Int64 where they may be larger than those, the
    timestamp and created columns as ``Datetime("us", "UTC")``, then the features. Where the view has no created column
    but pushed rows, :func:`known_time` names one that is added. Rows without a key or time are left out; rows are in no
    particular order.

    Raises :class:`SourceError` if a column is missing or a key has a type that its entity's cannot be made from,
    :class:`DefinitionError` if a feature is of a type that no model takes, :class:`TimestampError` if a time column, or
    an argument, has no time zone.
    """
    require_zone(since=since, as_of=as_of)
    place = f"feature view {view.name}"
    part = part_of_source(view, since=since, as_of=as_of)
    rows = reader.scan(
        view.source,
        columns=part.columns,
        within=part.within,
        by=part.by,
        place=place,
        keep_infinite=keep_infinite,
    )
    rows = _source_rows(rows, view, since, as_of, place=place)
    if view.transform is not None:
        rows = run_users(view.transform, rows, error=SourceError, what="its function", place=place)
        if not isinstance(rows, pl.LazyFrame):
            rule = "a feature view's function must return a LazyFrame"
            raise SourceError(rule, value=type(rows).__name__, place=place)
    rows = _shape(rows, view, place=place)
    pushed = reader.pushed(view.name)
    if pushed is not None:
        rows = _with_pushed(rows, pushed, view)
    times = dict.fromkeys((view.timestamp, known_time(view, rows) or view.timestamp))
    keep = [pl.col(name).is_not_null() for name in (*times, *view.keys)]
    keep += [] if since is None else [pl.col(view.timestamp) >= instant_literal(since)]
    keep += [] if as_of is None else [pl.col(name) <= instant_literal(as_of) for name in times]
    rows = rows.filter(*keep)
    settled = plain_values(rows.collect_schema(), keep_infinite=keep_infinite)
    return rows.with_columns(settled) if settled else rows


def part_of_source(view: FeatureView, *, since: datetime | None, as_of: datetime | None) -> SourcePart:
    """Return the part of its source that :func:`view_rows` reads of a view."""
    columns = None
    if view.transform is None and view.features is not None:
        times = [view.timestamp, *([view.created] if view.created else [])]
        columns = tuple(dict.fromkeys([*view.keys, *times, *view.features, *known_columns(view.source)]))
    start = None if since is None else since - view.look_back
    # A computation may see rows of later that are known already, such as forecasts.
    is_later_seen = view.transform is not None and view.source.created is not None
    if as_of is not None and not is_later_seen:
        return SourcePart(columns, TimeRange.until(as_of, start), view.timestamp)
    return SourcePart(columns, None if start is None else TimeRange(start, None), view.timestamp)


def require_zone(**instants: datetime | None) -> None:
    """Refuse instants without a time zone. Raises :class:`TimestampError`."""
    for name, instant in instants.items():
        if instant is not None and instant.tzinfo is None:
            raise TimestampError(f"{name} must have a time zone", value=instant, remedy="Give it tzinfo=UTC.")


def known_time(view: FeatureView, rows: pl.LazyFrame) -> str | None:
    """The column of :func:`view_rows` that says when a row became known; ``None`` where that is its event time."""
    return view.created or (_KNOWN if _KNOWN in rows.collect_schema() else None)


def feature_names(view: FeatureView, rows: pl.LazyFrame) -> tuple[str, ...]:
    """The features among the columns of :func:`view_rows`, in order."""
    others = {*view.keys, view.timestamp, view.created, _KNOWN}
    return tuple(name for name in rows.collect_schema() if name not in others)


def _source_rows(
    rows: pl.LazyFrame, view: FeatureView, since: datetime | None, as_of: datetime | None, *, place: str
) -> pl.LazyFrame:
    """Return the rows of the source that the computation may see, without values that are known later.

    A view looks at a row at its time as the view has it; if it computes nothing, when the row is known, if later.
    """
    schema = rows.collect_schema()
    event, created = to_instant(view.timestamp, schema[view.timestamp], place=place), view.source.created
    later = view.created if view.transform is None and view.created in schema else None
    seen_at = pl.max_horizontal(event, instant_of(rows, later)) if later else event
    rows = hide_unknown(rows, view.source, at=seen_at)
    keep = [] if since is None else [event >= instant_literal(since - view.look_back)]
    if as_of is not None:
        known = to_instant(created, schema[created], place=place) if created else event
        keep.append(known <= instant_literal(as_of))
    return rows.filter(*keep) if keep else rows


def _shape(rows: pl.LazyFrame, view: FeatureView, *, place: str) -> pl.LazyFrame:
    """Exactly the view's columns, in their types."""
    try:
        schema = rows.collect_schema()
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"its computation must fit the source's columns: {reason}", place=place) from error
    times = [view.timestamp, *([view.created] if view.created else [])]
    require_columns([*view.keys, *times, *(view.features or ())], schema, place=place)
    own = {*view.keys, *times}
    features = [name for name in schema if name not in own] if view.features is None else list(view.features)
    if not features:
        raise SourceError("a feature view must give at least one feature", value=list(schema), place=place)
    for column in times:
        require_instant(column, schema[column], place=place)
    for feature in features:
        require_type("data frame feature", feature, schema[feature], place=place)
    keys = [_key(entity, schema[entity.key], place=place) for entity in view.entities]
    instants = [to_instant(column, schema[column], place=place).alias(column) for column in times]
    return rows.select(*keys, *instants, *features)


def _with_pushed(rows: pl.LazyFrame, pushed: pl.LazyFrame, view: FeatureView) -> pl.LazyFrame:
    """Add pushed rows, in the types that the computed ones have."""
    known = view.created or _KNOWN
    if not view.created:
        rows = rows.with_columns(pl.col(view.timestamp).alias(known))
    names = {view.timestamp: "event_time", known: "created"} | {key: f"{KEY}{key}" for key in view.keys}
    there = pushed.collect_schema()
    features = [f"{FEATURE}{name}" for name in feature_names(view, rows)]
    foreign = [name for name in there if name.startswith(FEATURE) and name not in features]
    if foreign:
        # A row of another definition, without any feature of this one, is none of this view's.
        own = [pl.col(name).is_not_null() for name in features if name in there]
        pushed = pushed.filter(pl.any_horizontal(*own, pl.all_horizontal(pl.col(foreign).is_null())))
    own = [
        # What a view has since it was defined anew, older pushes lack.
        pl.col(name).cast(dtype, strict=False).alias(column) if name in there else pl.lit(None, dtype).alias(column)
        for column, dtype in rows.collect_schema().items()
        for name in (names.get(column, f"{FEATURE}{column}"),)
    ]
    return pl.concat([rows, pushed.select(own)])


def _key(entity: Entity, dtype: pl.DataType, *, place: str) -> pl.Expr:
    """The key in its entity's type, with casts that keep every value or fail; else raises :class:`SourceError`."""
    wanted = _key_type(entity, dtype)
    if dtype == wanted == entity.dtype:
        return pl.col(entity.key)
    if dtype.is_integer() and wanted.is_integer():
        # No request can hold an integer beyond 64 bits: such a key has no row that could ever be looked up.
        return pl.col(entity.key).cast(wanted, strict=False)
    if key_fits(dtype, entity.dtype):
        return pl.col(entity.key).cast(wanted)
    raise SourceError(
        f"the key {entity.key} must be {wanted}, as entity {entity.name} says",
        value=str(dtype),
        place=place,
        remedy=f"Declare the entity with dtype=pl.{dtype}, or cast the column where the data is made.",
    )


def _key_type(entity: Entity, dtype: pl.DataType) -> pl.DataType | DataTypeClass:
    """The entity's type; Int64, as requests carry it, where its integers or the column's may lie outside of that."""
    if entity.dtype.is_integer() and (entity.dtype == pl.UInt64 or (dtype.is_integer() and dtype != entity.dtype)):
        own = entity.dtype() if isinstance(entity.dtype, type) else entity.dtype
        return own if own != pl.UInt64 and common_type(own, dtype) == own else pl.Int64()
    return entity.dtype


def horizon(view: FeatureView, first_event: datetime) -> datetime | None:
    """The oldest row that an event at ``first_event`` can see, or ``None`` where all history must be read.

    A computation that names no look-back may use any history before its rows, so nothing of it can be cut off.
    """
    if view.transform is not None and view.lookback is None:
        return None
    reach = view.time_to_live + timedelta(microseconds=1)
    # datetime begins in the year 1: such a row sees all history.
    return first_event - reach if first_event - datetime.min.replace(tzinfo=UTC) >= reach else None
