"""Selection and weights of labelled rows, for training and for scoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.errors import EmptyWindowError
from everfit.core.evidence import TrainingFrame
from everfit.definitions.model import Model
from everfit.measures.competing_risks import WAITING
from everfit.measures.delays import NEARLY_ALL, Delays, delays_of, inverse_weights, judging_weights
from everfit.measures.weighting import Floats

MATURE = 0.9
"""Rows are mature at the age by which this share of the labels is known, overall and for each class."""
MOST_HALF_LIVES = 30.0
"""Older rows keep the weight of this age, 1e-9: libraries divide by sums of weights, which must not be 0."""
WEIGHT = "label_weight"
"""The column with the weight of a row."""
_ALIKE = pl.lit(1.0).alias(WEIGHT)


def learnable(model: Model, frame: TrainingFrame, *, by: datetime, before: datetime | None = None) -> pl.DataFrame:
    """Return the rows that a model may be trained on at an instant, by its ``labels``.

    Args:
        frame: The rows, labelled or not; label delays are estimated from them.
        by: The instant; labels that became known later are ignored.
        before: Last event time, exclusive.

    Returns:
        Labelled rows of the frame, in order, with :data:`WEIGHT`: 1, or at least 1 if labels are weighted; times a half
        for each ``half_life`` of the model that the row is older than the newest of them. Raises
        :class:`EmptyWindowError` if the model uses mature labels and there are none.
    """
    known = known_by(frame.data if before is None else frame.data.filter(pl.col(TIME) < before), by)
    if model.labels == "known":
        return _by_age(model, known.with_columns(_ALIKE))
    history = _LabelDelays.learn(model, frame, by=by)
    if model.labels == "mature":
        return _by_age(model, _mature(model, known, history).with_columns(_ALIKE))
    return _by_age(model, history.weighted(known, inverse_weights))


def judging(
    model: Model, frame: TrainingFrame, *, by: datetime, since: datetime, before: datetime | None = None
) -> pl.DataFrame:
    """Return the labelled rows of a window for scoring, with weights that correct for labels not known yet.

    They do not depend on the model's ``labels``. The first event time is ``since``, inclusive. :data:`WEIGHT` is that
    of :func:`~everfit.measures.delays.judging_weights`; 1 if nearly all labels are known.
    """
    rows = frame.data.filter(pl.col(TIME) >= since)
    rows = rows if before is None else rows.filter(pl.col(TIME) < before)
    known = known_by(rows, by)
    if known.height >= NEARLY_ALL * rows.height:
        return known.with_columns(_ALIKE)
    return _LabelDelays.learn(model, frame, by=by).weighted(known, judging_weights)


def labels_to_come(model: Model, frame: TrainingFrame, *, by: datetime, since: datetime) -> float:
    """Return the expected number of labels still to come for events since an instant; arguments as :func:`judging`."""
    rows = frame.data.filter(pl.col(TIME) >= since)
    waiting = rows.filter((pl.col(LABEL).is_null() | (pl.col(KNOWN_AT) > by)).fill_null(value=True))
    incidence = _LabelDelays.learn(model, frame, by=by).delays.incidence
    return float(incidence.ahead[incidence.place(_seconds(waiting, pl.lit(by)))].sum())


def mature_until(model: Model, frame: TrainingFrame, *, by: datetime) -> datetime:
    """Return the last event time that is mature at an instant; the instant itself where delays are not known."""
    age_s = _LabelDelays.learn(model, frame, by=by).delays.age_known_s(MATURE)
    return by if age_s is None else by - timedelta(seconds=age_s)


def known_by(rows: pl.DataFrame, instant: datetime) -> pl.DataFrame:
    """Return the rows whose label was known by an instant."""
    return rows.filter(pl.col(LABEL).is_not_null() & (pl.col(KNOWN_AT) <= instant))


def _by_age(model: Model, rows: pl.DataFrame) -> pl.DataFrame:
    """Multiply the weights of the rows to learn from by what their age leaves."""
    if model.half_life is None:
        return rows
    age = (pl.col(TIME).max() - pl.col(TIME)).dt.total_microseconds()
    half_lives = age / (model.half_life // timedelta(microseconds=1))
    return rows.with_columns(pl.col(WEIGHT) * pl.lit(0.5).pow(half_lives.clip(upper_bound=MOST_HALF_LIVES)))


def _mature(model: Model, known: pl.DataFrame, history: _LabelDelays) -> pl.DataFrame:
    age_s, place = history.delays.age_known_s(MATURE), f"model {model.name}"
    remedy = "Use labels='known' or 'weighted', or widen the window."
    if age_s is None:
        rule = "label delays must be known, so that mature labels can be selected"
        raise EmptyWindowError(rule, value=f"{history.delays.labelled} labels", remedy=remedy, place=place)
    until = history.by - timedelta(seconds=age_s)
    # By age alone: known labels of younger rows would favour classes with short delays.
    rows = known.filter(pl.col(TIME) <= until)
    if rows[LABEL].n_unique() < 2:
        rule = (
            f"there must be mature labels of more than one value: {MATURE:.0%} of each class are known after "
            f"{age_s / 86_400:.3g} days, so of events until {until:%Y-%m-%d %H:%M}"
        )
        found = f"{rows.height} of {known.height} labelled rows"
        raise EmptyWindowError(rule, value=found, remedy=remedy, place=place)
    return rows


@dataclass(frozen=True, kw_only=True, eq=False)
class _LabelDelays:
    """Label delays as they were known at an instant."""

    by: datetime
    classes: pl.Series
    """Empty for a regression."""
    delays: Delays

    @classmethod
    def learn(cls, model: Model, frame: TrainingFrame, *, by: datetime) -> _LabelDelays:
        asked = frame.data.filter(pl.col(TIME) <= by).select(TIME, LABEL, KNOWN_AT)
        labels = _plain(asked[LABEL]).unique().drop_nulls().sort()
        classes = labels.clear() if model.task == "regression" else labels
        known = asked.select(pl.col(LABEL).is_not_null() & (pl.col(KNOWN_AT) <= by)).to_series().fill_null(value=False)
        codes = np.where(known.to_numpy(), _codes(asked[LABEL], classes), WAITING)
        asked_ago = _seconds(asked, pl.lit(by))
        ages = np.where(known.to_numpy(), _seconds(asked, pl.col(KNOWN_AT)), asked_ago)
        return cls(by=by, classes=classes, delays=delays_of(ages, codes, asked_ago, classes=classes.to_list()))

    def weighted(
        self, rows: pl.DataFrame, weights: Callable[[Delays, Floats, NDArray[np.int64]], Floats]
    ) -> pl.DataFrame:
        """Add the weights of labelled rows."""
        ages_s, codes = _seconds(rows, pl.lit(self.by)), _codes(rows[LABEL], self.classes)
        return rows.with_columns(pl.Series(WEIGHT, weights(self.delays, ages_s, codes)))


def _codes(labels: pl.Series, classes: pl.Series) -> NDArray[np.int64]:
    """Return the index of each label among the classes; 0 for a regression."""
    if classes.is_empty():
        return np.zeros(len(labels), dtype=np.int64)
    places = pl.Series(range(len(classes)), dtype=pl.Int64)
    return _plain(labels).replace_strict(classes, places, default=WAITING, return_dtype=pl.Int64).to_numpy()


def _plain(labels: pl.Series) -> pl.Series:
    """Return labels as numbers or text."""
    if labels.dtype == pl.Boolean:
        return labels.cast(pl.Int8)
    return labels if labels.dtype.is_numeric() else labels.cast(pl.String)


def _seconds(rows: pl.DataFrame, until: pl.Expr) -> Floats:
    """Return the seconds from the event until an instant; 0 for a label that was known before its event."""
    age = (until - pl.col(TIME)).dt.total_microseconds() / 1e6
    return rows.select(age.clip(lower_bound=0.0).fill_null(0.0)).to_series().to_numpy()
