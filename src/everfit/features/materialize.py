"""Materialization: write the newest known row of every entity of a view to its generation in the online store.

A row can be used from the later of its event time and its known time on; call that its *arrival*. A view's watermark
(high-water mark) is the arrival up to which its rows have been written, so that an incremental run needs the rows that
arrived after it, however old their event times are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

import polars as pl
from msgspec import Struct

from everfit.core.clock import from_us, to_us
from everfit.core.progress import SILENT, Progress
from everfit.definitions.view import FeatureView
from everfit.features.compute import feature_names, horizon, known_time, require_zone, view_rows
from everfit.store.reader import Reader
from everfit.store.sqlite_online import Generation, OnlineStore
from everfit.store.timestamps import instant_literal

_ROWS_PER_WRITE = 250_000
_EVENT, _KNOWN, _ROWS = "__event", "__known", "__rows"


class MaterializedView(Struct, frozen=True, kw_only=True):
    """Result of materializing one view."""

    view: str
    rows_read: int
    """Rows of the view that arrived since the last time."""
    entities_written: int
    """Entities whose values are new or newer than before."""
    since: datetime | None
    """The watermark before; ``None`` if all rows were written again."""
    until: datetime
    """The watermark now."""
    seconds: float


def materialize(
    views: Sequence[FeatureView],
    reader: Reader,
    online: OnlineStore,
    *,
    until: datetime,
    full: bool = False,
    progress: Progress = SILENT,
) -> tuple[MaterializedView, ...]:
    """Write what has become known since the last time, up to ``until``, to the generation of each view's definition.

    A generation is written whole, as a draft that takes its place once complete (copy-on-write), if ``full`` is set, if
    it was never written, or if changed rows cannot be found by their times: where the source has known times, but the
    view computes with its rows or has another known time. Generations of other definitions stay as they are. Killed at
    any instant and run again, it ends as if it had never been interrupted; of two processes that write one generation,
    one waits. Memory grows with the number of entities, not with the length of their history.

    A row that is added to a source without known times, with an event time before the watermark, is not noticed;
    neither is a changed function that a view's function calls. Both are what ``full`` is for.

    Raises :class:`TimestampError` if ``until`` has no time zone, :class:`SourceError` if a view does not fit its
    source, :class:`StoreError` if the store cannot be written.
    """
    require_zone(until=until)
    found = []
    for view in views:
        with reader.naming_damage(view.source), online.writing(view.name, view.definition):
            found.append(_materialize(view, reader, online, until=until, full=full, progress=progress))
    return tuple(found)


def _materialize(
    view: FeatureView, reader: Reader, online: OnlineStore, *, until: datetime, full: bool, progress: Progress
) -> MaterializedView:
    began = time.perf_counter()
    generation = None if full else _continued(view, reader, online, until=until)
    if generation is None or generation.watermark_us is None:
        # Before the rows are read: what is pushed from now on is written to the draft as well.
        features, since = _feature_names(view, reader, until=until), None
        generation = online.create(view.name, features, definition=view.definition, keys=view.keys, draft=True)
    else:
        since = from_us(generation.watermark_us)
    newest, rows_read = _newest(_arrived(view, reader, since=since, until=until), view)
    task, written = f"materialize {view.name}", 0
    progress.start(task, newest.height)
    if since is None or until > since:
        written = _write(newest, view, generation, online, until=until, progress=progress)
    if since is None:
        online.publish(generation)
    progress.finish(task, f"{written:,} entities")
    took = time.perf_counter() - began
    return MaterializedView(
        view=view.name, rows_read=rows_read, entities_written=written, since=since, until=until, seconds=took
    )


def _continued(view: FeatureView, reader: Reader, online: OnlineStore, *, until: datetime) -> Generation | None:
    """Return the generation that only new rows must be added to; ``None`` if all rows must be written again."""
    created, generation = view.source.created, online.state(view.name, view.definition)
    if created is not None and (view.transform is not None or view.created != created):
        return None
    if generation is None or generation.watermark_us is None:
        return None
    # The function may give other columns though its text is the same.
    return generation if generation.features == _feature_names(view, reader, until=until) else None


def _feature_names(view: FeatureView, reader: Reader, *, until: datetime) -> tuple[str, ...]:
    """Return the features of a view, by as few of its rows as can be."""
    return feature_names(view, view_rows(view, reader, since=until, as_of=until))


def _arrived(view: FeatureView, reader: Reader, *, since: datetime | None, until: datetime) -> pl.LazyFrame:
    """The view's rows that arrived in ``(since, until]``, with their event and known times in microseconds."""
    # Without known times, a row arrives at its event time; with them, an old row may arrive late.
    first = since if since is not None and not view.created and horizon(view, since) is not None else None
    rows = view_rows(view, reader, since=first, as_of=until)
    created = known_time(view, rows) or view.timestamp
    event, known = pl.col(view.timestamp), pl.col(created)
    if since is not None:
        rows = rows.filter(pl.max_horizontal(event, known) > instant_literal(since))
    times = [event.to_physical().alias(_EVENT), known.to_physical().alias(_KNOWN)]
    return rows.with_columns(times).drop({view.timestamp, created})


def _newest(rows: pl.LazyFrame, view: FeatureView) -> tuple[pl.DataFrame, int]:
    """Return each entity's newest row, in the order of the keys, and the number of rows.

    Newest as in the point-in-time join: by event time, then known time; full ties go to the greatest values.
    """
    keys = list(view.keys)
    latest = rows.group_by(keys).agg(pl.col(_EVENT).max(), pl.len().alias(_ROWS))
    # Joined on the time as well, few rows are left to be told apart by known time and values.
    left = rows.join(latest, on=[*keys, _EVENT], how="inner").collect(engine="streaming")
    order = [by for key in keys for by in _stored_order(key, left.schema[key])]
    if left.select(keys).is_duplicated().any():
        features = _features(view, left.drop(_ROWS))
        left = left.sort(*order, _KNOWN, *features, nulls_last=False, maintain_order=True)
        left = left.unique(keys, keep="last", maintain_order=True)
    else:
        left = left.sort(*order)
    return left.drop(_ROWS), int(left[_ROWS].sum())


def _stored_order(key: str, dtype: pl.DataType) -> list[pl.Expr]:
    """The order in which a store keeps keys, nearly: shorter text comes first. It only makes writing quicker."""
    return [*([pl.col(key).str.len_bytes()] if dtype == pl.String else []), pl.col(key)]


def _features(view: FeatureView, newest: pl.DataFrame) -> tuple[str, ...]:
    return tuple(name for name in newest.columns if name not in {*view.keys, _EVENT, _KNOWN})


def _write(
    newest: pl.DataFrame,
    view: FeatureView,
    generation: Generation,
    online: OnlineStore,
    *,
    until: datetime,
    progress: Progress,
) -> int:
    """Write the rows part by part, the watermark with the last one."""
    written, last = 0, max(newest.height - 1, 0) // _ROWS_PER_WRITE
    for number in range(last + 1):
        part = newest.slice(number * _ROWS_PER_WRITE, _ROWS_PER_WRITE)
        written += (
            online.write_columns(
                generation,
                [part[key].to_list() for key in view.keys],
                part[_EVENT].to_list(),
                part[_KNOWN].to_list(),
                [part[feature].to_list() for feature in generation.features],
                watermark_us=to_us(until) if number == last else None,
                now_us=to_us(until),
            )
            or 0
        )
        progress.advance(f"materialize {view.name}", part.height)
    return written
