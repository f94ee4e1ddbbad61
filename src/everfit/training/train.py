"""Training: tune, fit without the hold-out, and score on it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import polars as pl

from everfit.artifact.fitted_model import Fitted
from everfit.artifact.infer import infer_schema
from everfit.core.duration import format_duration
from everfit.core.evidence import TrainingFrame
from everfit.core.progress import SILENT, Progress
from everfit.core.records import Score, SliceScore, Trial
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.training.candidate import Candidate
from everfit.training.scoring import score, score_slices
from everfit.training.split import split_by_time
from everfit.training.trainer import encode_rows, fit, predict_rows
from everfit.training.tune import tune


def train(
    model: Model,
    frame: TrainingFrame,
    *,
    settings: TrainingSettings,
    warm_start: Sequence[Trial] = (),
    progress: Progress = SILENT,
) -> Candidate:
    """Find the best parameters, fit with them on all rows before the hold-out, and score on the hold-out.

    Raises:
        EmptyWindowError: If there are too few labelled rows for three parts, or too few mature ones.
        LabelError: If the labels are all of one class.
        DefinitionError: If the trainer has an argument that is neither tuned nor available.
        TrainingError: If the trainer fails on every trial.
    """
    parts = split_by_time(
        model, frame, holdout_share=settings.holdout_share, validation_share=settings.validation_share
    )
    # Tuning must not know the categories of the validation rows.
    schema = infer_schema(model, frame, parts.train)
    rows, valid = encode_rows(schema, parts.train), encode_rows(schema, parts.validation)
    params, trials = tune(model, schema, rows, valid, settings=settings, warm_start=warm_start, progress=progress)
    progress.start("fitting", total=1)
    schema = infer_schema(model, frame, parts.learning)
    began = time.monotonic()
    fitted = fit(model, schema, encode_rows(schema, parts.learning), params, seed=settings.seed)
    took_s = time.monotonic() - began
    progress.finish("fitting", note=f"{parts.learning.height:,} rows of {model.labels} labels in {took_s:.1f} s")
    progress.start("scoring", total=1)
    scores, slices = score_fitted(model, fitted, parts.holdout, settings)
    progress.finish("scoring", note=f"{scores[0].metric} {scores[0].value:.4f}")
    return Candidate(
        model=model.name,
        metric=model.metric,
        labels=model.labels,
        half_life="" if model.half_life is None else format_duration(model.half_life),
        fitted=fitted,
        params=params,
        seed=settings.seed,
        split=parts.split,
        trials=trials,
        scores=scores,
        slices=slices,
    )


def score_fitted(
    model: Model, fitted: Fitted, holdout: pl.DataFrame, settings: TrainingSettings
) -> tuple[tuple[Score, ...], tuple[SliceScore, ...]]:
    """Return the scores on weighted, labelled rows: overall, the model's own metric first, and by slice.

    Raises :class:`TrainingError` if it cannot predict them.
    """
    rows = encode_rows(fitted.schema, holdout)
    truth = rows.y.astype(np.float64)
    predicted = predict_rows(fitted, rows.X, rows="rows of the hold-out", model=model.name)
    return (
        score(model, truth, predicted, rows.weight, settings),
        score_slices(model, holdout, truth, predicted, rows.weight, settings),
    )
