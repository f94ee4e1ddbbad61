"""Sources, views and events held against what the data really has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from everfit.core.errors import EverfitError
from everfit.design.findings import error, from_exception, missing_columns, warning

if TYPE_CHECKING:
    from everfit.core.records import Problem
    from everfit.definitions.model import Model
    from everfit.definitions.source import Source
    from everfit.definitions.view import FeatureView
    from everfit.store.reader import Reader

_KEY_TYPES = "an integer, pl.String or pl.Date"


def check_source(source: Source, reader: Reader) -> list[Problem]:
    """Whether it can be read, and whether its times are instants in UTC or dates."""
    place = f"source {source.name}"
    try:
        frame = reader.scan(source)
        first = frame.select(source.timestamp).head(1).collect()
    except EverfitError as raised:
        return [from_exception(place, raised)]
    except pl.exceptions.PolarsError as raised:
        return [error(place, f"the source must be readable: {raised}")]
    if first.is_empty():
        return [error(place, "a source must hold at least one row", 0)]
    return _gaps(source, reader)


def _gaps(source: Source, reader: Reader) -> list[Problem]:
    """Columns that some files lack: their values are missing there, which may be meant."""
    problems = []
    for column, files in reader.gaps(source).items():
        value = f"{column} is not in {', '.join(files[:3])}" + (f" and {len(files) - 3} more" if files[3:] else "")
        remedy = "Its values are missing there; write those files again if they should have it."
        problems.append(warning(f"source {source.name}", "every file should have the same columns", value, remedy))
    return problems


def check_view(view: FeatureView, reader: Reader) -> list[Problem]:
    """Whether its columns are there, and its keys of the type that its entities state."""
    place = f"feature view {view.name}"
    schema = _schema(view.source, reader)
    if schema is None:
        return []  # the source itself has been reported
    wanted = [view.timestamp] + ([view.created] if view.created else [])
    if view.transform is None:
        wanted += [*view.keys, *(view.features or ())]
    problems = missing_columns(place, wanted, schema)
    for entity in view.entities:
        if view.transform is None and entity.key in schema and not _same_key(schema[entity.key], entity.dtype):
            remedy = f"State dtype=pl.{schema[entity.key]} on the entity, or cast the column."
            problems.append(
                error(
                    place,
                    f"the key {entity.key} must be of its entity's type {entity.dtype}",
                    schema[entity.key],
                    remedy,
                )
            )
        if not (entity.dtype.is_integer() or entity.dtype in (pl.String, pl.Date)):
            problems.append(error(f"entity {entity.name}", f"a key must be {_KEY_TYPES}", entity.dtype))
    return problems


def check_events(model: Model, reader: Reader) -> list[Problem]:
    """Whether ids are unique, the columns of request and label are there, and known times are instants."""
    place, events = f"model {model.name}", model.events
    schema = _schema(events.source, reader)
    if schema is None:
        return []
    wanted = [events.id, events.timestamp, model.label.known_at, *model.request, *model.label.columns]
    wanted += events.where.meta.root_names() if events.where is not None else []
    problems = missing_columns(place, wanted, schema)
    known_at = schema.get(model.label.known_at)
    if known_at is not None and not _is_aware(known_at):
        remedy = 'Give it a zone where it is made: pl.col("…").dt.replace_time_zone("UTC").'
        problems.append(error(f"{place}, label", "known_at must be an instant with a time zone", known_at, remedy))
    if not problems:
        problems += _check_ids(model, reader)
    return problems


def _check_ids(model: Model, reader: Reader) -> list[Problem]:
    place, events = f"model {model.name}", model.events
    rows = reader.scan(events.source)
    if events.where is not None:
        rows = rows.filter(events.where)
    ids = rows.select(events.id).collect().to_series()
    problems = []
    if ids.null_count():
        problems.append(
            error(f"{place}, events", f"the id {events.id} must never be null", f"{ids.null_count()} nulls")
        )
    doubled = ids.drop_nulls().filter(ids.drop_nulls().is_duplicated())
    if len(doubled):
        shown = ", ".join(str(each) for each in doubled.unique(maintain_order=True).head(3))
        remedy = "Name a column that identifies one row, or drop the copies in the source."
        value = f"{len(doubled)} rows share an id, such as {shown}"
        problems.append(error(f"{place}, events", f"the id {events.id} must be unique", value, remedy))
    return problems


def _schema(source: Source, reader: Reader) -> pl.Schema | None:
    try:
        return reader.scan(source).collect_schema()
    except (EverfitError, pl.exceptions.PolarsError):
        return None


def _same_key(have: pl.DataType, stated: object) -> bool:
    wanted = (
        pl.DataType.from_python(stated) if isinstance(stated, type) and not issubclass(stated, pl.DataType) else stated
    )
    if have.is_integer():
        return bool(getattr(wanted, "is_integer", lambda: False)())
    return bool(have == wanted)


def _is_aware(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Date) or (isinstance(dtype, pl.Datetime) and dtype.time_zone is not None)
