"""Result of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from everfit.artifact.fitted_model import Fitted
from everfit.core.evidence import LabelUse, Task
from everfit.core.records import Score, SliceScore, TimeSplit, Trial


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An estimator that was fitted without the hold-out, with its scores there."""

    model: str
    task: Task
    metric: str
    labels: LabelUse
    """Labels that were used for training."""
    fitted: Fitted
    params: Mapping[str, str | int | float | bool | None]
    seed: int
    split: TimeSplit
    trials: tuple[Trial, ...]
    scores: tuple[Score, ...]
    """On the hold-out, the model's own metric first."""
    slices: tuple[SliceScore, ...]
    fit_seconds: float
