"""Checks of sources, views and events against the data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from everfit.core.errors import EverfitError
from everfit.definitions.column_types import event_roles, key_fits, require_type
from everfit.design.problems import caught, error, missing_columns, warning
from everfit.store.known_values import count_unknown, instant_of, known_columns, known_rows
from everfit.store.plain_values import count_infinite
from everfit.store.reader import parameters_of
from everfit.store.timestamps import require_instant

if TYPE_CHECKING:
    from everfit.core.records import Problem
    from everfit.definitions.model import Model
    from everfit.definitions.source import Source
    from everfit.definitions.view import FeatureView
    from everfit.design.sample import Samples
    from everfit.store.reader import Reader

_SHOWN = 3
_SLOW_S = 1.0
"""Half of the shortest time between two evaluations."""


def check_source(source: Source, reader: Reader, *, as_of: datetime, samples: Samples) -> list[Problem]:
    """Check that a source can be read, and has times with a zone, the same columns everywhere, and finite values.

    Infinite values are counted in all rows of files and tables, and in the sample of a query.
    """
    place = f"source {source.name}"
    problems: list[Problem] = []
    try:
        with caught(problems, place):
            problems += _slow_function(source, reader)
            within = samples.range(source) if source.kind == "sql" else None
            rows = known_rows(reader.scan(source, within=within, keep_infinite=True), source, as_of)
            with reader.naming_damage(source):
                if rows.select(source.timestamp).head(1).collect().is_empty():
                    return [error(place, f"a source must have a row that was known at {as_of}", 0)]
                problems += [*_gaps(source, reader), *infinite_values(place, count_infinite(rows))]
    except pl.exceptions.PolarsError as raised:
        problems.append(error(place, f"the source must be readable: {raised}"))
    return problems


def _slow_function(source: Source, reader: Reader) -> Iterator[Problem]:
    """Yield a warning if a function that cannot be asked for a range takes long: it is read whole at each use."""
    if source.function is None or parameters_of(source) & {"start", "end"}:
        return
    began_s = time.perf_counter()
    reader.scan(source).select(pl.len()).collect(engine="streaming")
    took_s = time.perf_counter() - began_s
    if took_s > _SLOW_S:
        rule = f"a function that is read whole at each use should take at most {_SLOW_S:g} s"
        remedy = "Give it the parameters start and end, and let it read only that range of the time column."
        yield warning(f"source {source.name}", rule, f"{took_s:.1f} s", remedy)


def infinite_values(place: str, counts: Mapping[str, int]) -> list[Problem]:
    """Return a warning for each column with infinite values."""
    remedy = "They count as missing. Check their computation for a division by zero."
    return [
        warning(place, f"the values of {column} should be finite", f"{count} are infinite", remedy)
        for column, count in counts.items()
    ]


def _gaps(source: Source, reader: Reader) -> Iterator[Problem]:
    """Yield a warning for each column that some files lack."""
    for column, files in reader.gaps(source).items():
        value = f"{column} is not in {', '.join(files[:3])}" + (f" and {len(files) - 3} more" if files[3:] else "")
        remedy = "Its values are missing there; if that is wrong, write those files again."
        yield warning(f"source {source.name}", "every file should have the same columns", value, remedy)


def check_view(view: FeatureView, reader: Reader) -> list[Problem]:
    """Check that a view's columns exist, and that its keys have the types of its entities."""
    place = f"feature view {view.name}"
    schema = _schema(view.source, reader)
    if schema is None:
        return []  # the source itself has been reported
    wanted = [view.timestamp] + ([view.created] if view.created else [])
    if view.transform is None:
        wanted += [*view.keys, *(view.features or ())]
    problems = missing_columns(place, wanted, schema)
    for entity in view.entities:
        if view.transform is None and entity.key in schema and not key_fits(schema[entity.key], entity.dtype):
            remedy = f"Write dtype=pl.{schema[entity.key]} in the entity, or cast the column."
            rule = f"the key {entity.key} must have its entity's type {entity.dtype}"
            problems.append(error(place, rule, schema[entity.key], remedy))
    return problems


def check_late_values(view: FeatureView, reader: Reader, *, as_of: datetime, samples: Samples) -> Iterator[Problem]:
    """Find values that a view uses before they are known by their source; they are missing in the view."""
    source = view.source
    if not source.known_at:
        return
    within = samples.range(source, view.timestamp)
    rows = known_rows(reader.scan(source, within=within, by=view.timestamp), source, as_of)
    used = [name for name in source.known_at if _uses(view, rows, name)]
    seen = instant_of(rows, view.timestamp)
    if view.transform is None and view.created:
        seen = pl.max_horizontal(seen, instant_of(rows, view.created))
    for name, count in count_unknown(rows, source, used, at=seen).items():
        known_at = source.known_at[name]
        rule = f"a view must use {name} only when it is known, at {known_at}"
        remedy = f"Compute the view at that time: timestamp={known_at!r}."
        if view.transform is None:
            remedy = f"Let its rows be known then: created={known_at!r}, or timestamp={known_at!r}."
        value = f"in {count} rows it is known later than {view.timestamp}, and missing there"
        yield error(f"feature view {view.name}", rule, value, remedy)


def _uses(view: FeatureView, rows: pl.LazyFrame, column: str) -> bool:
    """Return ``True`` if a view's features depend on a column: without it, they cannot be computed."""
    if view.transform is None:
        return column in (view.features or ())
    try:
        whole = view.transform(rows).collect_schema()
        return view.transform(rows.drop(column)).collect_schema() != whole
    except Exception:  # noqa: BLE001 - the user's own code may raise anything where a column is missing
        return True


def check_events(model: Model, reader: Reader, *, as_of: datetime, samples: Samples) -> list[Problem]:
    """Check that the columns of events exist, have usable types, and that ids are unique."""
    place, events = f"model {model.name}", model.events
    schema = _schema(events.source, reader)
    if schema is None:
        return []
    wanted = [events.id, events.timestamp, model.label.known_at, *model.request, *model.label.columns]
    wanted += events.where.meta.root_names() if events.where is not None else []
    problems = missing_columns(place, wanted, schema)
    for place_of, column in ((f"{place}, events", events.timestamp), (f"{place}, label", model.label.known_at)):
        if column in schema:
            with caught(problems, place_of):
                require_instant(column, schema[column], place=place_of)
    if not problems:
        value = pl.col(model.label.value) if isinstance(model.label.value, str) else model.label.value
        try:
            label = pl.LazyFrame(schema=schema).select(value.alias("label")).collect_schema()["label"]
        except pl.exceptions.PolarsError:
            rule = "the label must be computable from the source's columns"
            return [error(f"{place}, label", rule, model.label.value)]
        for role, name, dtype, where in event_roles(model, schema, label):
            with caught(problems, where):
                require_type(role, name, dtype, place=where)
    if not problems:
        with caught(problems, place), reader.naming_damage(events.source):
            problems += _check_ids(model, reader, as_of=as_of, samples=samples)
    return problems


def _check_ids(model: Model, reader: Reader, *, as_of: datetime, samples: Samples) -> Iterator[Problem]:
    """Yield an error for ids that are null or not unique.

    A database that has more rows than a sample groups them itself, and where it finds something, what ``where`` leaves
    of the sample is looked at.
    """
    place, events = f"model {model.name}, events", model.events
    within = samples.range(events.source, events.timestamp) if events.source.kind == "sql" else None
    if within is not None and (doubled := reader.doubled(events.source, events.id, at_most=_SHOWN)):
        if events.where is None:
            yield _not_unique(place, events.id, "some rows share an id, or have none", doubled)
            return
    elif within is not None:
        return
    columns = [events.id, *known_columns(events.source), events.source.timestamp]
    columns += [] if events.where is None else events.where.meta.root_names()
    rows = reader.scan(events.source, columns=list(dict.fromkeys(columns)), within=within, by=events.timestamp)
    rows = known_rows(rows, events.source, as_of)
    if events.where is not None:
        rows = rows.filter(events.where)
    ids = rows.select(events.id).collect().to_series()
    if ids.null_count():
        yield error(place, f"the id {events.id} must never be null", f"{ids.null_count()} nulls")
    found = ids.drop_nulls().filter(ids.drop_nulls().is_duplicated())
    if len(found):
        shown = found.unique(maintain_order=True).head(_SHOWN).to_list()
        yield _not_unique(place, events.id, f"{len(found)} rows share an id", shown)


def _not_unique(place: str, column: str, what: str, values: Iterable[object]) -> Problem:
    remedy = "Use a column that identifies one row, or remove duplicates in the source."
    return error(place, f"the id {column} must be unique", f"{what}, such as {', '.join(map(str, values))}", remedy)


def _schema(source: Source, reader: Reader) -> pl.Schema | None:
    try:
        return reader.scan(source).collect_schema()
    except (EverfitError, pl.exceptions.PolarsError):
        return None
