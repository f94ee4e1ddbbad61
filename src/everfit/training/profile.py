"""Sample of a version's training and hold-out rows, which monitoring compares with."""

from __future__ import annotations

import polars as pl

from everfit.artifact.encode import encode_inputs
from everfit.artifact.package import HELD_OUT, PREDICTION
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.evidence import TrainingFrame
from everfit.training.candidate import Candidate
from everfit.training.split import holdout_rows
from everfit.training.trainer import predict_rows


def profile_rows(frame: TrainingFrame, candidate: Candidate, *, extra: tuple[str, ...] = ()) -> pl.DataFrame:
    """Return labelled rows, sampled evenly over time, those of the hold-out with the candidate's predictions.

    Returns:
        Event time, label, the time at which it was known, the features before encoding, ``extra`` columns such as those
        of slices; :data:`everfit.artifact.package.HELD_OUT`, and ``prediction``, or ``prediction.<class>`` for each
        class, null for training rows. Ordered by event time.
    """
    schema, split = candidate.fitted.schema, candidate.split
    names = list(dict.fromkeys([TIME, LABEL, KNOWN_AT, *frame.features, *extra]))
    held_out = _thin(holdout_rows(frame.data, split)).select(names)
    learnt = frame.data.filter(pl.col(LABEL).is_not_null() & (pl.col(TIME) < split.holdout_from))
    inputs = encode_inputs(schema, held_out)
    predicted = predict_rows(candidate.fitted, inputs, rows="rows of the profile", model=candidate.model)
    if predicted.ndim == 1:
        answers = [pl.Series(PREDICTION, predicted)]
    else:
        classes = zip(schema.classes, predicted.T, strict=True)
        answers = [pl.Series(f"{PREDICTION}.{label}", column) for label, column in classes]
    learnt = _thin(learnt).select(names).with_columns(pl.lit(False).alias(HELD_OUT))
    return pl.concat([learnt, held_out.with_columns(pl.lit(True).alias(HELD_OUT), *answers)], how="diagonal")


def _thin(rows: pl.DataFrame) -> pl.DataFrame:
    """Return at most 25,000 rows, every n-th, so that no time of day or season is left out."""
    return rows.gather_every(max(1, -(-rows.height // 25_000)))
