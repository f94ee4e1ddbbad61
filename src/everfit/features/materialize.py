"""Materialization: write the newest known row of every entity of a view to the online store.

A row can be used from the later of its event time and its known time on; call that its *arrival*. A view's watermark
(high-water mark) is the arrival up to which its rows have been written, so that an incremental run needs the rows that
arrived after it, however old their event times are.
"""

from __future__ import annotations

import hashlib
import inspect
import json
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
from everfit.store.sqlite_online import OnlineStore
from everfit.store.timestamps import INSTANT

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
    """Write what has become known since the last time, up to ``until``.

    A view is written again, beside its old rows and in place of them once complete (copy-on-write), if ``full`` is set,
    if it was never written, if its definition changed, or if changed rows cannot be found by their times: where the
    source has known times, but the view computes with its rows or has another known time. Killed at any instant and run
    again, it ends as if it had never been interrupted. Memory grows with the number of entities, not with the length of
    their history.

    A row that is added to a source without known times, with an event time before the watermark, is not noticed;
    neither is a changed function that a view's function calls. Both are what ``full`` is for.

    Raises :class:`TimestampError` if ``until`` has no time zone, :class:`SourceError` if a view does not fit its
    source, :class:`StoreError` if the store cannot be written.
    """
    require_zone(until=until)
    found = []
    for view in views:
        with reader.naming_damage(view.source):
            found.append(_materialize(view, reader, online, until=until, full=full, progress=progress))
    return tuple(found)


def _materialize(
    view: FeatureView, reader: Reader, online: OnlineStore, *, until: datetime, full: bool, progress: Progress
) -> MaterializedView:
    began = time.perf_counter()
    since = None if full else _watermark(view, reader, online)
    newest, rows_read = _newest(_arrived(view, reader, since=since, until=until), view)
    task, written = f"materialize {view.name}", 0
    progress.start(task, newest.height)
    if since is None:
        # A name that no view can have, for the rows that will replace the view's.
        name = f"{view.name}.next"
        online.create(name, _features(view, newest), definition=definition_digest(view))
        written = _write(newest, name, view, online, until=until, progress=progress)
        online.replace(view.name, by=name)
    elif until > since:
        written = _write(newest, view.name, view, online, until=until, progress=progress)
    progress.finish(task, f"{written:,} entities")
    took = time.perf_counter() - began
    return MaterializedView(
        view=view.name, rows_read=rows_read, entities_written=written, since=since, until=until, seconds=took
    )


def definition_digest(view: FeatureView) -> str:
    """``sha256:…`` of all in a definition that its rows depend on; its ttl and description are not among it."""
    source = view.source
    said = {
        "entities": [(entity.key, str(entity.dtype)) for entity in view.entities],
        "features": view.features,
        "times": [view.timestamp, view.created, str(view.look_back)],
        "source": [source.name, source.path, source.query, source.url, source.timestamp, source.created],
        "code": [_code(function) for function in (source.function, view.transform) if function is not None],
    }
    if source.known_at:
        said["known_at"] = sorted(source.known_at.items())
    return f"sha256:{hashlib.sha256(json.dumps(said).encode()).hexdigest()}"


def _code(function: object) -> str:
    """Return a function's source, or its bytecode."""
    try:
        return inspect.getsource(function)  # type: ignore[arg-type]
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr(function) if code is None else f"{code.co_code!r} {code.co_consts!r} {code.co_names!r}"


def _watermark(view: FeatureView, reader: Reader, online: OnlineStore) -> datetime | None:
    """Return the watermark; ``None`` if all rows must be written again."""
    created, state = view.source.created, online.state(view.name)
    if created is not None and (view.transform is not None or view.created != created):
        return None
    if state is None or state.watermark_us is None or state.definition != definition_digest(view):
        return None
    # The function may give other columns though its text is the same.
    same = state.features == feature_names(view, view_rows(view, reader))
    return from_us(state.watermark_us) if same else None


def _arrived(view: FeatureView, reader: Reader, *, since: datetime | None, until: datetime) -> pl.LazyFrame:
    """The view's rows that arrived in ``(since, until]``, with their event and known times in microseconds."""
    # Without known times, a row arrives at its event time; with them, an old row may arrive late.
    first = since if since is not None and not view.created and horizon(view, since) is not None else None
    rows = view_rows(view, reader, since=first, as_of=until)
    created = known_time(view, rows) or view.timestamp
    event, known = pl.col(view.timestamp), pl.col(created)
    if since is not None:
        rows = rows.filter(pl.max_horizontal(event, known) > pl.lit(since, dtype=INSTANT))
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
    newest: pl.DataFrame, name: str, view: FeatureView, online: OnlineStore, *, until: datetime, progress: Progress
) -> int:
    """Write the rows part by part, the watermark with the last one."""
    written, features = 0, _features(view, newest)
    last = max(newest.height - 1, 0) // _ROWS_PER_WRITE
    for number in range(last + 1):
        part = newest.slice(number * _ROWS_PER_WRITE, _ROWS_PER_WRITE)
        written += online.write_columns(
            name,
            [part[key].to_list() for key in view.keys],
            part[_EVENT].to_list(),
            part[_KNOWN].to_list(),
            [part[feature].to_list() for feature in features],
            watermark_us=to_us(until) if number == last else None,
            now_us=to_us(until),
        )
        progress.advance(f"materialize {view.name}", part.height)
    return written
