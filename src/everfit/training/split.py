"""Split of a frame by event time and known time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from everfit.core.columns import LABEL, TIME
from everfit.core.errors import EmptyWindowError, LabelError
from everfit.core.evidence import TrainingFrame
from everfit.core.records import TimeSplit
from everfit.definitions.model import Model
from everfit.training.labels import judging, learnable, mature_until
from everfit.training.part_start import PartStart, after_change, part_start


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Labelled, weighted rows of a frame in three parts that follow each other in time."""

    split: TimeSplit
    train: pl.DataFrame
    """Known before the validation begins."""
    validation: pl.DataFrame
    """Known before the hold-out begins."""
    learning: pl.DataFrame
    """Rows of the last fit: those known before the hold-out begins."""
    holdout: pl.DataFrame


def split_by_time(model: Model, frame: TrainingFrame, *, holdout_share: float, validation_share: float) -> Parts:
    """Split the labelled rows of a frame.

    The newest rows are the hold-out, the newest of the rest the validation part; both are as large as
    :func:`~everfit.training.part_start.part_start` says, and at most the share of the rows, or of the rest.
    Rows of one instant stay together. A row whose label became known after the next part had begun is in no part: it
    was not available for training at that time. The bounds do not depend on the model's ``labels``, so that all of its
    options are scored on the same rows. Raises :class:`EmptyWindowError` if a part would be empty, :class:`LabelError`
    if all labels are equal.
    """
    place, labelled = f"model {model.name}", frame.data.filter(pl.col(LABEL).is_not_null())
    if labelled.is_empty():
        found, remedy = f"0 of {frame.data.height} rows", "Widen the window, or wait until labels are known."
        raise EmptyWindowError("there must be labelled rows to train on", value=found, remedy=remedy, place=place)
    _require_variety(labelled[LABEL], "the labels", place)
    holdout = _start(model, frame, labelled, by=frame.manifest.as_of, share=holdout_share)
    holdout_from = holdout.instant
    before = labelled.filter(pl.col(TIME) < holdout_from)
    validation_from = holdout_from
    if before.height:
        validation_from = _start(model, frame, before, by=holdout_from, share=validation_share).instant
    parts = {
        "training": learnable(model, frame, by=validation_from, before=validation_from),
        "validation": judging(model, frame, by=holdout_from, since=validation_from, before=holdout_from),
        "hold-out": judging(model, frame, by=frame.manifest.as_of, since=holdout_from),
    }
    for name, rows in parts.items():
        if rows.is_empty():
            rule, found = f"the {name} part must hold labelled rows", f"0 of {labelled.height} rows"
            remedy = "Widen the window, or change holdout=, or [training] holdout_share and validation_share."
            raise EmptyWindowError(rule, value=found, remedy=remedy, place=place)
    _require_variety(parts["training"][LABEL], "the training part's labels", place)
    train, validation, held_out = parts.values()
    split = TimeSplit(
        start=labelled[TIME][0],
        validation_from=validation_from,
        holdout_from=holdout_from,
        end=labelled[TIME][-1],
        train_rows=train.height,
        validation_rows=validation.height,
        holdout_rows=held_out.height,
        holdout_rule=holdout.rule,
    )
    learning = learnable(model, frame, by=holdout_from, before=holdout_from)
    return Parts(split=split, train=train, validation=validation, learning=learning, holdout=held_out)


def holdout_rows(frame: pl.DataFrame, split: TimeSplit) -> pl.DataFrame:
    """Return the labelled rows of the hold-out."""
    return frame.filter(pl.col(LABEL).is_not_null() & (pl.col(TIME) >= split.holdout_from))


def _start(model: Model, frame: TrainingFrame, labelled: pl.DataFrame, *, by: datetime, share: float) -> PartStart:
    until = mature_until(model, frame, by=by)
    part = part_start(labelled[TIME], labelled[LABEL], mature_until=until, window=model.holdout, share=share)
    return after_change(part, labelled[TIME], frame.changed_at, share=share)


def _require_variety(labels: pl.Series, what: str, place: str) -> None:
    if labels.n_unique() < 2:
        raise LabelError(
            f"{what} must take more than one value, not be all of one class",
            value=f"{labels[0]!r} on {len(labels)} rows",
            remedy="Check the label's expression and its units, or widen the window.",
            place=place,
        )
