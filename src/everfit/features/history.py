"""Training frames: every event of a window with the features as they were known then, and its label if known by now."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.duration import format_duration
from everfit.core.errors import DataError, DefinitionError, DuplicateError, EmptyWindowError
from everfit.core.evidence import ID, TrainingFrame
from everfit.core.progress import SILENT, Progress
from everfit.core.records import FrameManifest, SourceVersion
from everfit.core.user_code import run_users
from everfit.definitions.column_types import event_roles, require_type
from everfit.definitions.model import Model
from everfit.definitions.on_demand import OnDemand
from everfit.definitions.view import FeatureView
from everfit.features.compute import (
    feature_names,
    horizon,
    known_time,
    part_of_source,
    require_zone,
    view_rows,
)
from everfit.features.join import ViewRows, point_in_time_join
from everfit.features.labels import label_value, plain_labels, used_columns
from everfit.features.training_start import training_start
from everfit.store.digest import frame_digest
from everfit.store.known_values import count_unknown, hide_unknown, instant_of, known_columns, latest_known
from everfit.store.plain_values import plain_label, plain_values
from everfit.store.reader import Reader, SourcePart
from everfit.store.time_range import TimeRange
from everfit.store.timestamps import instant_literal, to_instant

_OWN = (ID, TIME, LABEL, KNOWN_AT)
_TASK = "features"


def build_frame(
    model: Model,
    reader: Reader,
    *,
    as_of: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Progress = SILENT,
) -> TrainingFrame:
    """Build the rows that a model can be trained on, without anything that was not known at ``as_of``.

    Labels known later are null, events and feature rows later are absent. Event times are in ``[start, end)``: by
    default from the start of the model's training window on, or else from the first event, until ``as_of``.

    Raises:
        SourceError: If a source cannot be read or lacks a column.
        TimestampError: If an instant has no time zone.
        DuplicateError: If two events share an id.
        DataError: If an event has no id, or an on-demand function returns another number of rows.
        DefinitionError: If a column is of a type that it cannot have, or a request field known after its event.
        LabelError: If the label has a type or values that the task cannot learn.
        EmptyWindowError: If there is no event in the window.
    """
    end = as_of if end is None else end
    require_zone(as_of=as_of, start=start, end=end)
    progress.start(_TASK, total=len(model.views) + 2)
    history = "" if start is not None else model.history_text
    with reader.naming_damage(model.events.source, *(view.source for view in model.views)):
        start = training_start(model, reader, as_of=as_of, end=end) if start is None else start
        events = _read_events(model, reader, as_of=as_of, start=start, end=end)
        progress.advance(_TASK, note=f"{events.height} events")
        start = events[TIME][0] if start is None else start
        events = _with_features(model, reader, events, as_of=as_of, progress=progress)
    data, features = _arrange(model, events)
    manifest = FrameManifest(
        model=model.name,
        start=start,
        end=end,
        as_of=as_of,
        sources=_versions(model, reader, as_of=as_of, start=start, end=end),
        views=tuple(view.name for view in model.views),
        query=describe_query(model),
        columns=tuple(data.columns),
        rows=data.height,
        labelled=data.height - data[LABEL].null_count(),
        digest=frame_digest(data),
        history=history,
    )
    progress.finish(_TASK, note=f"{data.height} rows, {manifest.labelled} labelled")
    return TrainingFrame(data=data, features=features, request=model.request, manifest=manifest)


def features_of(
    model: Model, reader: Reader, asked: pl.DataFrame, *, as_of: datetime, progress: Progress = SILENT
) -> pl.DataFrame:
    """Return the features of given requests, as a training frame built at ``as_of`` has them.

    ``asked`` has the request's fields, and its time in :data:`~everfit.core.evidence.TIME`, aware; each row sees
    nothing later than its own time. For each there is one row, in order: the features of views and on-demand
    transformations, ``name.feature``. Raises :class:`DataError` if an on-demand function fails, or returns another
    number of rows.
    """
    progress.start(_TASK, total=len(model.views))
    with reader.naming_damage(*(view.source for view in model.views)):
        found = _with_features(model, reader, asked, as_of=as_of, progress=progress)
    progress.finish(_TASK, note=f"{found.height} rows")
    return found.select(found.columns[asked.width :])


def _with_features(
    model: Model, reader: Reader, asked: pl.DataFrame, *, as_of: datetime, progress: Progress
) -> pl.DataFrame:
    first = asked[TIME].min() or as_of
    assert isinstance(first, datetime)
    for view in model.views:
        asked = point_in_time_join(asked, [joinable(view, reader, first=first, as_of=as_of)], time=TIME)
        progress.advance(_TASK, note=view.name)
    for part in model.on_demand:
        asked = pl.concat([asked, _on_demand(part, asked.select(model.request))], how="horizontal")
    return asked


def describe_query(model: Model) -> str:
    """Describe the frame's query in one line."""
    events, label = model.events, model.label
    parts = [f"events {events.source.name} by {events.id} at {events.timestamp}"]
    parts += [] if events.where is None else [f"where {events.where}"]
    parts.append(f"label {label.value} known at {label.known_at}")
    parts += [f"view {one.name} of {one.source.name}, ttl {format_duration(one.time_to_live)}" for one in model.views]
    return "; ".join([*parts, *(f"on demand {part.name}" for part in model.on_demand)])


def _read_events(
    model: Model, reader: Reader, *, as_of: datetime, start: datetime | None, end: datetime
) -> pl.DataFrame:
    """The window's events: id, time, request fields, label and its known time, ordered by time and id."""
    events, place = model.events, f"model {model.name}, events"
    moment = instant_literal(as_of)
    taken = [name for name in model.request if name in _OWN]
    if taken:
        rule = f"a request field must not be called one of {', '.join(_OWN)}"
        raise DefinitionError(rule, value=taken[0], place=place)
    value = label_value(model)
    part = _part_of_events(model, as_of=as_of, start=start, end=end)
    rows = reader.scan(events.source, columns=part.columns, within=part.within, by=part.by, place=place)
    schema = rows.collect_schema()
    time = to_instant(events.timestamp, schema[events.timestamp], place=place)
    known = to_instant(model.label.known_at, schema[model.label.known_at], place=f"model {model.name}, label")
    known = latest_known(rows, events.source, known, model.label.columns)
    label_type = rows.select(value.alias(LABEL)).collect_schema()[LABEL]
    for role, name, dtype, where in event_roles(model, schema, label_type):
        # Which features a model takes depends on its trainer, and is held against the table with the schema.
        require_type("data frame feature" if role == "feature" else role, name, dtype, place=where)
    rows = hide_unknown(rows, events.source, at=moment)
    rows = rows if events.where is None else rows.filter(events.where)
    created, inside = events.source.created, [time < instant_literal(end), time <= moment]
    inside += [] if start is None else [time >= instant_literal(start)]
    inside += [] if created is None else [to_instant(created, schema[created], place=place) <= moment]
    chosen = rows.filter(pl.all_horizontal(inside) | time.is_null()).select(
        pl.col(events.id).alias(ID),
        time.alias(TIME),
        *model.request,
        pl.when(known <= moment).then(plain_label(value, label_type)).alias(LABEL),
        pl.when(known <= moment).then(known).alias(KNOWN_AT),
    )
    _require_known_request(model, rows.filter(pl.all_horizontal(inside)), time)
    frame = chosen.collect().sort(TIME, ID)
    _check_events(model, frame, place=place)
    frame = frame.with_columns(plain_labels(model, frame[LABEL]))
    frame = _in_64_bits(model, frame)
    if frame.is_empty():
        rule = f"there must be events from {start or 'the beginning'} until {end}"
        remedy = _extent(model, reader)
        remedy += f" The model's history is {model.history_text}." if model.history else ""
        raise EmptyWindowError(rule, place=place, remedy=remedy)
    return frame


def _require_known_request(model: Model, rows: pl.LazyFrame, time: pl.Expr) -> None:
    unknown = count_unknown(rows, model.events.source, model.request, at=time)
    for name, count in unknown.items():
        known_at = model.events.source.known_at[name]
        raise DefinitionError(
            f"a request field must be known at the event, but {name} is known at {known_at}, which is later",
            value=f"{count} rows",
            place=f"model {model.name}, request",
            remedy=f"Remove {name} from request; a view may use it, computed at timestamp={known_at!r}.",
        )


def _in_64_bits(model: Model, frame: pl.DataFrame) -> pl.DataFrame:
    """Request fields of unsigned integers as requests carry them; :class:`DataError` if Int64 cannot hold a value."""
    wide = [name for name in model.request if frame.schema[name] == pl.UInt64]
    for name in wide:
        beyond = frame[name].filter(frame[name] > 2**63 - 1)
        if len(beyond):
            rule = f"an integer of the request must lie within 64 bits with a sign, but {len(beyond)} of {name} do not"
            remedy = f'Give it as text: pl.col("{name}").cast(pl.String).'
            raise DataError(rule, value=beyond[0], remedy=remedy, place=f"model {model.name}, request")
    return frame.with_columns(pl.col(name).cast(pl.Int64) for name in wide) if wide else frame


def _check_events(model: Model, frame: pl.DataFrame, *, place: str) -> None:
    for column, name in ((ID, model.events.id), (TIME, model.events.timestamp)):
        if missing := frame[column].null_count():
            raise DataError(f"{name} must not be null, but {missing} of {frame.height} rows have none", place=place)
    if frame[ID].n_unique() < frame.height:
        doubles = frame.filter(pl.col(ID).is_duplicated())[ID].unique(maintain_order=True)
        raise DuplicateError(
            f"{model.events.id} must be unique, but {len(doubles)} ids are not",
            value=doubles.head(3).to_list(),
            place=place,
            remedy="Keep one row for each event, or narrow events with where.",
        )


def _part_of_events(model: Model, *, as_of: datetime, start: datetime | None, end: datetime) -> SourcePart:
    """Return the part of the events' source that a frame is made of; events without a time are in it, to be refused."""
    columns = [*model.request, *used_columns(model), *known_columns(model.events.source)]
    last = min(end, as_of + timedelta(microseconds=1))
    return SourcePart(tuple(dict.fromkeys(columns)), TimeRange(start, last, with_nulls=True), model.events.timestamp)


def _extent(model: Model, reader: Reader) -> str:
    events = model.events
    chosen = [events.timestamp, *([] if events.where is None else events.where.meta.root_names())]
    rows = reader.scan(events.source, columns=list(dict.fromkeys(chosen)))
    rows = rows if events.where is None else rows.filter(events.where)
    time = instant_of(rows, events.timestamp)
    first, last = rows.select(time.min().alias("first"), time.max().alias("last")).collect().row(0)
    return f"The source has {'no events that pass its filter' if first is None else f'events from {first} to {last}'}."


def joinable(view: FeatureView, reader: Reader, *, first: datetime, as_of: datetime) -> ViewRows:
    """A view's rows, as far back as events from ``first`` on can see, with nothing in them from after ``as_of``."""
    rows = view_rows(view, reader, since=horizon(view, first), as_of=as_of)
    return ViewRows(
        name=view.name,
        rows=rows,
        keys=view.keys,
        time=view.timestamp,
        created=known_time(view, rows),
        features=feature_names(view, rows),
        ttl=view.time_to_live,
    )


def _on_demand(part: OnDemand, request: pl.DataFrame) -> pl.DataFrame:
    place = f"on-demand transformation {part.name}"
    features = run_users(part.function, request, error=DataError, what="its function", place=place)
    if not isinstance(features, pl.DataFrame):
        raise DataError("it must return a Polars DataFrame", value=type(features).__name__, place=place)
    if features.height != request.height:
        raise DataError(f"it must return {request.height} rows, one for each", value=features.height, place=place)
    return features.with_columns(plain_values(features.schema)).select(pl.all().name.prefix(f"{part.name}."))


def _arrange(model: Model, joined: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The columns in the model's order, each once, and the names of the features among them."""
    features: list[str] = []
    for part in model.features:
        own = [part] if isinstance(part, str) else [name for name in joined.columns if name.startswith(f"{part.name}.")]
        features += own
    computed = [name for name in features if name not in model.request]
    return joined.select(ID, TIME, *model.request, *computed, LABEL, KNOWN_AT), tuple(features)


def _versions(
    model: Model, reader: Reader, *, as_of: datetime, start: datetime, end: datetime
) -> tuple[SourceVersion, ...]:
    """Return what a frame was made of: whole files and tables, but of queries and functions what was read."""
    first, parts = min(start, as_of), {model.events.source: [_part_of_events(model, as_of=as_of, start=start, end=end)]}
    for view in model.views:
        part = part_of_source(view, since=horizon(view, first), as_of=as_of)
        parts.setdefault(view.source, []).append(part)
    sources = sorted(parts.items(), key=lambda pair: pair[0].name)
    pushed = (reader.pushed_version(view.name, as_of=as_of) for view in model.views)
    return (*(reader.version(source, tuple(dict.fromkeys(read))) for source, read in sources), *filter(None, pushed))
