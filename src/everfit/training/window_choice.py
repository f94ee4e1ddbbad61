"""Choice of the history that is learnt from once the world has changed: all of it, or what came since."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import polars as pl
from msgspec import structs

from everfit.artifact.infer import infer_schema
from everfit.core.columns import LABEL, TIME
from everfit.core.errors import EmptyWindowError, LabelError, TrainingError
from everfit.core.evidence import TrainingFrame
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.measures.overdispersion import design_effect
from everfit.measures.row_loss import LOSS_KINDS, MEAN_LOSSES
from everfit.measures.weighting import Floats
from everfit.store.digest import frame_digest
from everfit.training.split import Parts, split_by_time
from everfit.training.trainer import encode_rows, fit, predict_rows

_LEAST_LEARNT = 100
"""Labelled rows since the change before the validation part; chosen."""
_ERRORS = 2.0
"""Standard errors by which these rows must teach better than all history; chosen."""

_log = logging.getLogger(__name__)


def better_history(model: Model, frame: TrainingFrame, *, settings: TrainingSettings) -> TrainingFrame:
    """Return the frame without its change, or only the rows since then if those alone teach what is better.

    After a break old rows teach what is no longer true, and a candidate that is judged on all rows since the break has
    learnt from none of them. After a false alarm, or a passing one, old rows are most of what is known. So both are
    fitted, with every parameter's default, on what came before a validation part that leaves rows since the change to
    learn from (:func:`everfit.training.part_start.after_change`). The rows since the change must be better there by two
    standard errors of the paired difference, for which rows of a day count as fewer
    (:func:`everfit.measures.overdispersion.design_effect`). Otherwise the training is as if nothing had changed. Raises
    :class:`TrainingError` if the trainer fails on all history.
    """
    plain, changed = replace(frame, changed_at=None), frame.changed_at
    if changed is None:
        return frame
    try:
        parts = _split(model, frame, settings)
        narrow = _since_change(frame)
        # It must be possible to train on these rows alone.
        _split(model, narrow, settings)
    except (EmptyWindowError, LabelError):
        return plain
    recent = parts.train.filter(pl.col(TIME) >= changed)
    if recent.height < _LEAST_LEARNT or not _knows(model, recent, parts) or parts.split.validation_from < changed:
        return plain
    try:
        losses = _losses(model, frame, recent, parts, settings)
    except TrainingError as failure:
        _log.info("%s: nothing can be learnt from the rows since the change alone: %s", model.name, failure)
        return plain
    difference = losses - _losses(model, frame, parts.train, parts, settings)
    better_by, error = -float(difference.mean()), _standard_error(difference, parts.validation)
    is_better = better_by > _ERRORS * error
    _log.info(
        "%s: learning from %s: the rows since the change on %s are better by %.4g on the validation rows, with a "
        "standard error of %.4g",
        model.name,
        "these rows alone" if is_better else "all history",
        f"{changed:%Y-%m-%d}",
        better_by,
        error,
    )
    return narrow if is_better else plain


def _since_change(frame: TrainingFrame) -> TrainingFrame:
    """Return the rows of a frame since its change, as a frame that is built from then on has them."""
    assert frame.changed_at is not None
    data = frame.data.filter(pl.col(TIME) >= frame.changed_at)
    manifest = structs.replace(
        frame.manifest,
        start=frame.changed_at,
        rows=data.height,
        labelled=data.height - data[LABEL].null_count(),
        digest=frame_digest(data),
        history="",
    )
    return replace(frame, data=data, manifest=manifest)


def _split(model: Model, frame: TrainingFrame, settings: TrainingSettings) -> Parts:
    return split_by_time(model, frame, holdout_share=settings.holdout_share, validation_share=settings.validation_share)


def _knows(model: Model, rows: pl.DataFrame, parts: Parts) -> bool:
    """Return true if a part has every class; a version must not forget one."""
    return model.task == "regression" or rows[LABEL].n_unique() == parts.train[LABEL].n_unique()


def _losses(model: Model, frame: TrainingFrame, rows: pl.DataFrame, parts: Parts, settings: TrainingSettings) -> Floats:
    """Return the losses of the validation rows, in order, by what is learnt from some rows."""
    schema = infer_schema(model, frame, rows)
    params = {name: parameter.untuned for name, parameter in model.learner.space.items()}
    fitted = fit(model, schema, encode_rows(schema, rows), params, seed=settings.seed)
    valid = encode_rows(schema, parts.validation)
    predicted = predict_rows(fitted, valid.inputs_of(fitted), rows="validation rows", model=model.name)
    kind = LOSS_KINDS[model.metric]
    # The order of pairs has no loss of single rows.
    losses = MEAN_LOSSES[kind if kind in MEAN_LOSSES else "log_loss"](valid.y.astype(np.float64), predicted)
    return np.asarray(losses * valid.weight / valid.weight.mean())


def _standard_error(difference: Floats, rows: pl.DataFrame) -> float:
    if len(difference) < 2:
        return float("inf")
    days = rows[TIME].dt.epoch("d").to_numpy()
    return float(difference.std(ddof=1) * np.sqrt(design_effect(difference, days) / len(difference)))
