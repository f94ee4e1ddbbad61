"""Result of a training, and the champion's predictions that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from everfit.artifact.fitted_model import Fitted
from everfit.core.class_names import ClassValue
from everfit.core.evidence import LabelUse
from everfit.core.records import Score, SliceScore, TimeSplit, Trial


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An estimator that was fitted without the hold-out, with its scores there."""

    model: str
    metric: str
    labels: LabelUse
    """Labels that were used for training."""
    half_life: str = ""
    """Age by which the weight of a training row halves; empty if age does not count."""
    fitted: Fitted
    params: Mapping[str, str | int | float | bool | None]
    seed: int
    split: TimeSplit
    trials: tuple[Trial, ...]
    scores: tuple[Score, ...]
    """On the hold-out, the model's own metric first."""
    slices: tuple[SliceScore, ...]
    recipe: str = ""
    """Sentence on the champion's parameters if they are the candidate's, since those that were tuned are worse."""


@dataclass(frozen=True, kw_only=True)
class ChampionPredictions:
    """The champion's predictions of the hold-out, or the reason why there are none; all defaults without a champion."""

    prediction: NDArray[np.float64] | None = None
    """In the columns of ``classes``; NaN in rows that are no events by the champion's definitions."""
    problem: str = ""
    """Reason why there is no prediction; empty if there is one."""
    remark: str = ""
    """Sentences on its rows or features, where they are not those of its own definitions."""
    refitted: bool = False
    """``True`` if they are of the champion refitted without the hold-out, on which the champion itself was trained."""
    recipe: Fitted | None = None
    """That refitted champion, if it is of the candidate's code."""
    deployed: NDArray[np.float64] | None = None
    """Predictions of the champion as it is deployed, if ``refitted``, in the columns of ``learnt``; NaN also in rows
    that it was trained on."""
    classes: tuple[ClassValue, ...] = ()
    """In the order of the prediction's columns; empty if they are the candidate's."""
    version: int | None = None
    learnt: tuple[ClassValue, ...] = ()
    """The classes that the champion itself learned."""
    request: Mapping[str, str] | None = None
    """Type and use of its request fields."""
