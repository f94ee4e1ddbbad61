"""A model's history, of which every instant shows what was known by then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import polars as pl
from msgspec import structs
from numpy.typing import NDArray

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.evidence import TrainingFrame
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.features.history import build_frame
from everfit.features.training_start import training_start
from everfit.store.digest import frame_digest
from everfit.store.reader import Reader
from everfit.store.timestamps import instant_literal

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Past:
    """All events of a model with their features, and their labels as they are known today.

    The features of an event are the same at every later instant: a view's rows count by when they became known. So one
    frame is built, and what was not known at an instant is taken out of it.
    """

    model: Model
    reader: Reader
    frame: TrainingFrame

    @classmethod
    def read(cls, model: Model, reader: Reader, *, end: datetime, as_of: datetime, progress: Progress = SILENT) -> Past:
        """Read events before ``end``; labels that became known after ``as_of`` are null.

        Raises what :func:`~everfit.features.history.build_frame` does.
        """
        return cls(model, reader, build_frame(model, reader, start=_FIRST, end=end, as_of=as_of, progress=progress))

    @property
    def rows(self) -> pl.DataFrame:
        """The events, ordered by time and id."""
        return self.frame.data

    @cached_property
    def times(self) -> NDArray[np.int64]:
        """Event times in microseconds; shape ``(rows,)``."""
        return self.rows[TIME].dt.epoch("us").to_numpy()

    @cached_property
    def known_times(self) -> NDArray[np.int64]:
        """Instants at which the labels became known, in microseconds; the largest integer without a label."""
        unknown = np.iinfo(np.int64).max
        known = pl.when(pl.col(LABEL).is_not_null()).then(pl.col(KNOWN_AT).dt.epoch("us")).fill_null(unknown)
        return self.rows.select(known.alias("us"))["us"].to_numpy()

    def place(self, instant: datetime) -> int:
        """Return the number of events before an instant."""
        return int(self.rows[TIME].search_sorted(instant, side="left"))

    def known(self, rows: pl.DataFrame, instant: datetime) -> pl.DataFrame:
        """Return some of the rows with the labels that were known at an instant."""
        is_known = pl.col(KNOWN_AT) <= instant_literal(instant)
        return rows.with_columns(pl.when(is_known).then(name).alias(name) for name in (LABEL, KNOWN_AT))

    def frame_at(self, model: Model, instant: datetime) -> TrainingFrame:
        """Return the training frame that is built at an instant; see :func:`~everfit.features.history.build_frame`.

        Args:
            model: The model, or one that differs from it by its training window.
        """
        if model.events.source.created is not None:
            # Which events were known, and with which values, can only be read from the source.
            return build_frame(model, self.reader, as_of=instant)
        start = training_start(model, self.reader, as_of=instant)
        rows = self.rows if start is None else self.rows.filter(pl.col(TIME) >= instant_literal(start))
        data = self.known(rows.filter(pl.col(TIME) < instant_literal(instant)), instant)
        manifest = structs.replace(
            self.frame.manifest,
            start=start or (data[TIME][0] if data.height else instant),
            end=instant,
            as_of=instant,
            rows=data.height,
            labelled=data.height - data[LABEL].null_count(),
            digest=frame_digest(data),
            history=model.history_text,
        )
        return replace(self.frame, data=data, manifest=manifest)
