"""The one place that turns a feature view into rows, for history and for the online store alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
from polars.datatypes import DataTypeClass

from everfit.core.errors import SourceError, TimestampError
from everfit.core.user_code import run_users
from everfit.definitions.column_types import key_fits, require_type
from everfit.definitions.entity import Entity
from everfit.definitions.view import FeatureView
from everfit.store.common_type import common_type
from everfit.store.known_values import hide_unknown, instant_of
from everfit.store.plain_values import plain_values
from everfit.store.pushed_rows import FEATURE, KEY
from everfit.store.reader import Reader, require_columns
from everfit.store.timestamps import INSTANT, require_instant, to_instant

_KNOWN = "__known_at"


def view_rows(
    view: FeatureView,
    reader: Reader,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    as_of: datetime | None = None,
    keep_infinite: bool = False,
) -> pl.LazyFrame:
    """The view's rows with event times in ``[since, until)``, as they were known at ``as_of``.

    The computation sees only source rows that were known at ``as_of`` and lie before ``until``, and, given ``since``,
    no further back than the view's look-back. A source row is known at its ``created``, or at its event time if the
    source has none; a null there means not known yet. Rows that were pushed to the view are among its rows, known at
    their own ``created``. A value that its source says to be known later is null in rows of before that time. An
    infinite value is missing.

    Args:
        reader: Reads the view's source and what was pushed to it.
        since: First event time, inclusive; aware.
        until: Last event time, exclusive; aware.
        as_of: Nothing known later is used; aware.
        keep_infinite: Leave infinite values as they are, to count them.

    Returns:
        The keys in their entities' types, integers as Int64 where they may be larger than those, the timestamp and
        created columns as ``Datetime("us", "UTC")``, then the features. Where the view has no created column but
        pushed rows, :func:`known_time` names one that is added.
        Rows without a key or time are left out; rows are in no particular order.

    Raises:
        SourceError: If a column is missing or a key has a type that its entity's cannot be made from.
        DefinitionError: If a feature is of a type that no model takes.
        TimestampError: If a time column, or an argument, has no time zone.
    """
    for name, bound in (("since", since), ("until", until), ("as_of", as_of)):
        if bound is not None and bound.tzinfo is None:
            raise TimestampError(f"{name} must have a time zone", value=bound, remedy="Give it tzinfo=UTC.")
    place = f"feature view {view.name}"
    rows = reader.scan(view.source, keep_infinite=keep_infinite)
    rows = _source_rows(rows, view, since=since, until=until, as_of=as_of, place=place)
    rows = rows if view.transform is None else _compute(view, rows, place=place)
    rows = _shape(rows, view, since=since, until=until, as_of=as_of, place=place)
    pushed = reader.pushed(view.name)
    if pushed is not None:
        rows = _with_pushed(rows, pushed, view, since=since, until=until, as_of=as_of)
    settled = plain_values(rows.collect_schema(), keep_infinite=keep_infinite)
    return rows.with_columns(settled) if settled else rows


def known_time(view: FeatureView, rows: pl.LazyFrame) -> str | None:
    """The column of :func:`view_rows` that says when a row became known; ``None`` where that is its event time."""
    return view.created or (_KNOWN if _KNOWN in rows.collect_schema() else None)


def feature_names(view: FeatureView, rows: pl.LazyFrame) -> tuple[str, ...]:
    """The features among the columns of :func:`view_rows`, in order."""
    return tuple(
        name for name in rows.collect_schema() if name not in {*view.keys, view.timestamp, view.created, _KNOWN}
    )


def _compute(view: FeatureView, rows: pl.LazyFrame, *, place: str) -> pl.LazyFrame:
    assert view.transform is not None
    computed = run_users(view.transform, rows, error=SourceError, what="its function", place=place)
    if not isinstance(computed, pl.LazyFrame):
        raise SourceError(
            "a feature view's function must return a LazyFrame", value=type(computed).__name__, place=place
        )
    return computed


def _source_rows(
    rows: pl.LazyFrame,
    view: FeatureView,
    *,
    since: datetime | None,
    until: datetime | None,
    as_of: datetime | None,
    place: str,
) -> pl.LazyFrame:
    """Return the rows of the source that the computation may see."""
    schema = rows.collect_schema()
    require_columns([view.timestamp], schema, place=f"{place}, source {view.source.name}")
    event = to_instant(view.timestamp, schema[view.timestamp], place=place)
    rows = hide_unknown(rows, view.source, at=seen_at(view, rows))
    keep = []
    if as_of is not None:
        known = view.source.created
        keep.append((to_instant(known, schema[known], place=place) if known else event) <= _literal(as_of))
    if since is not None:
        keep.append(event >= _literal(since - view.look_back))
    if until is not None:
        keep.append(event < _literal(until))
    return rows.filter(*keep) if keep else rows


def _shape(
    rows: pl.LazyFrame,
    view: FeatureView,
    *,
    since: datetime | None,
    until: datetime | None,
    as_of: datetime | None,
    place: str,
) -> pl.LazyFrame:
    """Exactly the view's columns, in their types, and none of the rows that only the computation needed."""
    schema = _schema(rows, place)
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
    return rows.select(*keys, *instants, *features).filter(
        *_within(view, view.created, since=since, until=until, as_of=as_of)
    )


def _with_pushed(
    rows: pl.LazyFrame,
    pushed: pl.LazyFrame,
    view: FeatureView,
    *,
    since: datetime | None,
    until: datetime | None,
    as_of: datetime | None,
) -> pl.LazyFrame:
    """Add pushed rows, in the types that the computed ones have."""
    known = view.created or _KNOWN
    if not view.created:
        rows = rows.with_columns(pl.col(view.timestamp).alias(known))
    names = {view.timestamp: "event_time", known: "created"} | {key: f"{KEY}{key}" for key in view.keys}
    there = pushed.collect_schema()
    own = [
        # What a view has since it was defined anew, older pushes lack.
        pl.col(name).cast(dtype, strict=False).alias(column) if name in there else pl.lit(None, dtype).alias(column)
        for column, dtype in rows.collect_schema().items()
        for name in (names.get(column, f"{FEATURE}{column}"),)
    ]
    within = _within(view, known, since=since, until=until, as_of=as_of)
    return pl.concat([rows, pushed.select(own).filter(*within)])


def _within(
    view: FeatureView, created: str | None, *, since: datetime | None, until: datetime | None, as_of: datetime | None
) -> Sequence[pl.Expr]:
    event = pl.col(view.timestamp)
    keep = [event.is_not_null(), *(pl.col(key).is_not_null() for key in view.keys)]
    if since is not None:
        keep.append(event >= _literal(since))
    if until is not None:
        keep.append(event < _literal(until))
    if as_of is not None:
        keep.append(event <= _literal(as_of))
    if created:
        known = pl.col(created)
        keep.append(known.is_not_null() if as_of is None else known <= _literal(as_of))
    return keep


def _key(entity: Entity, dtype: pl.DataType, *, place: str) -> pl.Expr:
    """The key in its entity's type; only casts that keep every value or fail.

    Raises:
        SourceError: If the types mean different things.
    """
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


def _schema(rows: pl.LazyFrame, place: str) -> pl.Schema:
    try:
        return rows.collect_schema()
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise SourceError(f"its computation must fit the source's columns: {reason}", place=place) from error


def seen_at(view: FeatureView, rows: pl.LazyFrame) -> pl.Expr:
    """When a view looks at a row of its source: what is known later is null in it.

    That is the row's time as the view has it; in a view that computes nothing, the time at which it is known, if later.
    """
    event = instant_of(rows, view.timestamp)
    if view.transform is not None or not view.created or view.created not in rows.collect_schema():
        return event
    return pl.max_horizontal(event, instant_of(rows, view.created))


def _literal(instant: datetime) -> pl.Expr:
    return pl.lit(instant, dtype=INSTANT)


def horizon(view: FeatureView, first_event: datetime) -> datetime | None:
    """The oldest row that an event at ``first_event`` can see, or ``None`` where all history must be read.

    A computation that names no look-back may use any history before its rows, so nothing of it can be cut off.
    """
    if view.transform is not None and view.lookback is None:
        return None
    reach = view.time_to_live + timedelta(microseconds=1)
    # datetime begins in the year 1: such a row sees all history.
    return first_event - reach if first_event - datetime.min.replace(tzinfo=UTC) >= reach else None
