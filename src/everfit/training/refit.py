"""Refits with chosen parameters: on all labelled rows, as recorded, or without a hold-out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from everfit.artifact.fitted_model import Fitted
from everfit.artifact.infer import infer_schema
from everfit.artifact.manifest import Lineage
from everfit.core.evidence import TrainingFrame
from everfit.definitions.model import Model
from everfit.training.candidate import Candidate
from everfit.training.labels import learnable
from everfit.training.trainer import encode_rows, fit


def refit(model: Model, frame: TrainingFrame, candidate: Candidate) -> Fitted:
    """Fit a candidate's parameters on all rows that may be used, the hold-out included.

    As the other functions here, it raises :class:`TrainingError` if the trainer fails.
    """
    rows = learnable(model, frame, by=frame.manifest.as_of)
    return _fit(model, frame, rows, candidate.params, seed=candidate.seed)


def refit_as_recorded(model: Model, frame: TrainingFrame, lineage: Lineage) -> Fitted:
    """Fit with the parameters that a package records, on the rows that it was fitted on."""
    if lineage.refitted or lineage.split is None:
        rows = learnable(model, frame, by=frame.manifest.as_of)
    else:
        rows = learnable(model, frame, by=lineage.split.holdout_from, before=lineage.split.holdout_from)
    return _fit(model, frame, rows, lineage.params, seed=lineage.seed)


def fit_without_holdout(
    model: Model, frame: TrainingFrame, lineage: Lineage, *, features: tuple[str, ...], holdout_from: datetime
) -> Fitted:
    """Fit with the parameters that a package records, on the rows that were known before an instant.

    A champion that was refitted on all rows was fitted on rows of the next candidate's hold-out, where its scores are
    too good. Refitted without them, it can be compared with the candidate. ``features`` are the columns that the
    package's estimator takes; the frame may have others by now.
    """
    rows = learnable(model, frame, by=holdout_from, before=holdout_from)
    return _fit(model, replace(frame, features=features), rows, lineage.params, seed=lineage.seed)


def _fit(model: Model, frame: TrainingFrame, rows: pl.DataFrame, params: Mapping[str, Any], *, seed: int) -> Fitted:
    schema = infer_schema(model, frame, rows)
    return fit(model, schema, encode_rows(schema, rows), params, seed=seed)
