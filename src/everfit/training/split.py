"""The split of a frame: by time only, and by what was known when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from everfit.core.errors import EmptyWindowError, LabelError
from everfit.core.evidence import KNOWN_AT, LABEL, TIME
from everfit.core.records import Split


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The labelled rows of a frame, in three parts that follow each other in time."""

    split: Split
    train: pl.DataFrame
    """Known before the validation begins."""
    validation: pl.DataFrame
    learning: pl.DataFrame
    """What a candidate learns from in the end: everything known before the hold-out begins."""
    holdout: pl.DataFrame


def split_by_time(frame: pl.DataFrame, *, holdout_share: float, validation_share: float, place: str = "") -> Parts:
    """Split the labelled rows of a frame.

    The newest rows are the hold-out, the newest of the rest the validation. Rows of one instant stay together. A row
    whose label became known only after the next part had begun is in no part: a model that is judged on what followed
    could not have learnt from it.

    Args:
        frame: Columns as in :class:`everfit.core.evidence.TrainingFrame`, ordered by time.
        holdout_share: Share of the labelled rows that are held out.
        validation_share: Share of the remaining rows that validate.
        place: Which model, for messages.

    Raises:
        EmptyWindowError: If a part would be empty.
        LabelError: If the labels are all alike.
    """
    labelled = frame.filter(pl.col(LABEL).is_not_null())
    if labelled.is_empty():
        raise EmptyWindowError(
            "there must be labelled rows to learn from",
            value=f"0 of {frame.height} rows",
            remedy="Widen the window, or wait until labels are known.",
            place=place,
        )
    _require_variety(labelled[LABEL], "the labels", place)
    holdout_from = _boundary(labelled, 1 - holdout_share)
    before = labelled.filter(pl.col(TIME) < holdout_from)
    validation_from = _boundary(before, 1 - validation_share) if before.height else holdout_from
    learnable = known_before(before, holdout_from)
    parts = {
        "training": known_before(learnable.filter(pl.col(TIME) < validation_from), validation_from),
        "validation": learnable.filter(pl.col(TIME) >= validation_from),
        "hold-out": labelled.filter(pl.col(TIME) >= holdout_from),
    }
    for name, rows in parts.items():
        if rows.is_empty():
            raise EmptyWindowError(
                f"the {name} part must hold labelled rows",
                value=f"0 of {labelled.height} rows",
                remedy="Widen the window, or change [training] holdout_share and validation_share.",
                place=place,
            )
    _require_variety(parts["training"][LABEL], "the training part's labels", place)
    train, validation, holdout = parts.values()
    split = Split(
        start=labelled[TIME][0],
        validation_from=validation_from,
        holdout_from=holdout_from,
        end=labelled[TIME][-1],
        train_rows=train.height,
        validation_rows=validation.height,
        holdout_rows=holdout.height,
    )
    return Parts(split=split, train=train, validation=validation, learning=learnable, holdout=holdout)


def holdout_rows(frame: pl.DataFrame, split: Split) -> pl.DataFrame:
    """The labelled rows that were held out."""
    return frame.filter(pl.col(LABEL).is_not_null() & (pl.col(TIME) >= split.holdout_from))


def known_before(rows: pl.DataFrame, instant: datetime) -> pl.DataFrame:
    """The rows whose label was known by an instant."""
    return rows.filter(pl.col(KNOWN_AT) <= instant)


def _boundary(rows: pl.DataFrame, share: float) -> datetime:
    place = min(int(rows.height * share), rows.height - 1)
    instant: datetime = rows[TIME][place]
    return instant


def _require_variety(labels: pl.Series, what: str, place: str) -> None:
    if labels.n_unique() < 2:
        raise LabelError(
            f"{what} must take more than one value, not be all of one class",
            value=f"{labels[0]!r} on {len(labels)} rows",
            remedy="Look at the label's expression and its units, or widen the window.",
            place=place,
        )
