"""Events and feature rows of the past, read range by range."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.evidence import ID
from everfit.definitions.model import Model
from everfit.definitions.view import FeatureView
from everfit.features.compute import horizon, known_time, view_rows
from everfit.features.labels import class_text, used_columns
from everfit.store.reader import Reader
from everfit.store.time_range import TimeRange
from everfit.store.timestamps import instant_literal, to_instant

EVENT_TIME, CREATED = "event_time", "created"
"""Names of the times of a pushed row in requests to the service."""


class History:
    """The past of one model. Nothing is cached: every call reads the sources."""

    def __init__(self, model: Model, reader: Reader) -> None:
        self._model = model
        # Rows that are pushed to views later are ignored, since a replay pushes rows itself.
        self.reader = reader.frozen(view.name for view in model.views)

    def events(self, since: datetime | None, until: datetime) -> pl.DataFrame:
        """Return the events with times in ``[since, until)``, ordered by time and id, with their final labels.

        Columns: :data:`~everfit.core.evidence.ID` as text, :data:`~everfit.core.evidence.TIME`, the request fields,
        :data:`~everfit.core.evidence.LABEL` and :data:`~everfit.core.evidence.KNOWN_AT`, both null without a label.
        """
        events, label, place = self._model.events, self._model.label, f"model {self._model.name}, events"
        columns = list(dict.fromkeys([*used_columns(self._model), *self._model.request]))
        within = TimeRange(since, until)
        rows = self.reader.scan(events.source, columns=columns, within=within, by=events.timestamp, place=place)
        schema = rows.collect_schema()
        rows = rows if events.where is None else rows.filter(events.where)
        time = to_instant(events.timestamp, schema[events.timestamp], place=place)
        known = to_instant(label.known_at, schema[label.known_at], place=f"model {self._model.name}, label")
        value = pl.col(label.value) if isinstance(label.value, str) else label.value
        if self._model.task != "regression":
            value = class_text(value, rows.select(value.alias(LABEL)).collect_schema()[LABEL])
        settled = value.is_not_null() & known.is_not_null()
        return (
            rows.select(
                pl.col(events.id).cast(pl.String).alias(ID),
                time.alias(TIME),
                *self._model.request,
                pl.when(settled).then(value).alias(LABEL),
                pl.when(settled).then(known).alias(KNOWN_AT),
            )
            .collect()
            .sort(TIME, ID)
        )

    def arrived(self, view: FeatureView, since: datetime, until: datetime) -> pl.DataFrame:
        """Return the view's rows that became usable in ``(since, until]``: at the later of event and known time.

        They are computed from what was known at ``until``. Columns: the keys, :data:`EVENT_TIME`, :data:`CREATED`, and
        the features.
        """
        late = view.created is not None or self.reader.pushed(view.name) is not None
        # Without known times a row arrives at its event time; with them an old row may arrive late.
        first = None if late or horizon(view, since) is None else since
        rows = view_rows(view, self.reader, since=first, as_of=until)
        known = known_time(view, rows)
        event, created = pl.col(view.timestamp), pl.col(known or view.timestamp)
        arrival = pl.max_horizontal(event, created)
        times = {view.timestamp, known}
        others = [name for name in rows.collect_schema() if name not in times and name not in view.keys]
        return (
            rows.filter(arrival > _at(since), arrival <= _at(until))
            .select(*view.keys, event.alias(EVENT_TIME), created.alias(CREATED), *others)
            .collect()
        )


def _at(instant: datetime) -> pl.Expr:
    return instant_literal(instant)
