"""Records with frames or arrays that are passed between stations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from everfit.core.records import FrameManifest

Task = Literal["binary", "multiclass", "regression"]
FrameKind = Literal["matrix", "pandas", "polars"]
"""The type of ``X`` in a trainer: a float64 matrix, or a data frame with names and dtypes."""
LabelUse = Literal["known", "mature", "weighted"]
"""Labels that are used for training: all that are known at the time; those of events so old that nearly all labels are
known; or all that are known, weighted by the inverse of the probability that a label is known at its age."""

Arithmetic = Literal["float64", "float32"]
"""Floating-point precision of the sums in a prediction."""

ID = "event_id"
"""In training frames, where ``id`` may be a request field."""


@dataclass(frozen=True, kw_only=True)
class TrainingFrame:
    """Point-in-time correct rows, ordered by event time and id.

    ``data`` has ``event_id``, ``event_time`` (``Datetime("us", "UTC")``), the request fields under their own names, the
    features under ``view.feature`` names, ``label`` (null where it was not known at ``manifest.as_of``) and
    ``label_known_at``, as in :mod:`everfit.core.columns`.
    """

    data: pl.DataFrame
    """The rows; columns as above."""
    features: tuple[str, ...]
    """The columns that are the estimator's input, in order."""
    request: tuple[str, ...]
    """The request fields."""
    manifest: FrameManifest
    """Time range, sources and digest of the data."""
    changed_at: datetime | None = None
    """Estimated event time since which the world is another one: a version became worse. ``None`` if it is not known to
    have changed."""


@dataclass(frozen=True, kw_only=True)
class SourceFreshness:
    """Age of the newest row of a source at the end of the frame, and the ttl of its view."""

    source: str
    view: str
    age: timedelta | None
    """``None`` if the source has no rows."""
    ttl: timedelta
    rows: int = 0
    """Rows of the view in which :attr:`infinite` was counted: those of the newest hour that has rows."""
    infinite: Mapping[str, int] = field(default_factory=dict)
    """Number of infinite values by feature, without zeros."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Predictions of a candidate and a champion that know different classes, on the same rows.

    ``truth`` is the index among the classes that either knows, or -1; the predictions, shape ``(rows, classes)``, are
    zero where a version does not know the class.
    """

    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    champion: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Input of gates. Arrays are aligned with the rows of ``holdout``, all of which are labelled.

    Predictions are the probability of the positive class, shape ``(rows,)`` (binary), the probabilities of the classes,
    shape ``(rows, classes)`` (multiclass), or the value, shape ``(rows,)`` (regression). ``truth`` is 0 or 1 for
    binary, the class's index for multiclass, the value for regression; it is -1 for a class that the candidate did not
    learn, and every metric scores such a row as the worst possible.
    """

    model: str
    """Name of the model."""
    task: Task
    """``binary``, ``multiclass`` or ``regression``."""
    metric: str
    """Name of the metric that tuning optimised."""
    features: tuple[str, ...]
    """The columns that are the estimator's input, in order."""
    reference: pl.DataFrame
    """The labelled rows that the candidate was fitted on; columns as in :class:`TrainingFrame`."""
    holdout: pl.DataFrame
    """The newest labelled rows, which the candidate was not fitted on; columns as in :class:`TrainingFrame`."""
    holdout_rule: str = ""
    """The size of the hold-out in words, such as "the last 14d up to the newest mature label"."""
    holdout_from: datetime | None = None
    """First event time of the hold-out, in UTC."""
    history_choice: str = ""
    """Sentence on the training window that was chosen, with figures; empty where there was nothing to choose."""
    unlabelled: int
    """Number of rows in the hold-out's time range without a label, which are not in ``holdout``."""
    labels_to_come: float
    """Expected number of those that will get a label, estimated from the label delays."""
    classes: tuple[str | int | bool, ...]
    """The labels' values, in the order of ``predicted``'s columns; empty for a regression."""
    truth: NDArray[np.float64]
    """The labels, shape ``(rows,)``."""
    weight: NDArray[np.float64]
    """Weight of each row, which corrects for labels that are not known yet; about 1 on average, and exactly 1 if nearly
    all labels are known. Shape ``(rows,)``."""
    predicted: NDArray[np.float64]
    """The candidate's predictions of ``holdout``."""
    baseline: NDArray[np.float64]
    """Predictions of the trivial baseline: the rate, class shares or median of the training rows."""
    champion: NDArray[np.float64] | None
    """The champion's predictions of ``holdout``, in the columns of ``classes``; a class that only the champion knows is
    left out, see ``paired``. NaN in rows that are no events by the champion's own definitions. ``None`` if there is no
    champion or it could not be scored."""
    champion_version: int | None
    """Version number of the champion; ``None`` without a champion."""
    champion_problem: str
    """Reason why the champion could not be scored on these rows; empty if it was, or without a champion."""
    champion_remark: str = ""
    """Sentences on the champion's rows or features, where they are not those of its own definitions."""
    champion_stand_in: bool = False
    """``True`` if ``champion`` was predicted by the champion refitted without the hold-out, because the champion itself
    was fitted on rows of it."""
    champion_deployed: NDArray[np.float64] | None = None
    """With a stand-in, the predictions of the champion itself; NaN in rows that it was fitted on. ``None`` if it knows
    other classes."""
    champion_recipe: str = ""
    """Sentence on the champion's parameters if they are the candidate's, since those that were tuned are worse."""
    champion_classes: tuple[str | int | bool, ...] = ()
    """The classes of the champion's predictions; empty without a champion, and for a regression."""
    champion_learnt: tuple[str | int | bool, ...] = ()
    """The classes that the champion itself learned; the refitted champion may know more."""
    paired: Paired | None = None
    """Predictions of both if the champion knows different classes, else ``None``."""
    freshness: Sequence[SourceFreshness]
    """Age of the newest row of each view's source at the end of the frame."""
    request: Mapping[str, str] = field(default_factory=dict)
    """Type and use of every request field of the candidate; see :func:`everfit.artifact.schema.request_meaning`."""
    champion_request: Mapping[str, str] | None = None
    """Type and use of the champion's request fields; ``None`` without a champion."""
    frame_end: datetime
    """End of the training frame, exclusive, in UTC."""
    bootstrap: int
    """Number of bootstrap resamples for intervals."""
    seed: int
    """Seed of all random numbers."""
    fit_again: Callable[[], tuple[NDArray[np.float64], NDArray[np.float64]]] = field(compare=False)
    """Fits twice with the same seed on the same (bounded) rows, and returns both predictions of the hold-out."""
    predict_packaged: Callable[[], NDArray[np.float64]] = field(compare=False)
    """Predictions of the hold-out by the package after it was saved and loaded."""
    runtime: str = "native"
    """Name of the runtime that executes the package."""
    arithmetic: Arithmetic = "float64"
    """Floating-point precision of the runtime."""
    answer: Callable[[Mapping[str, Any]], NDArray[np.float64]] = field(compare=False)
    """Predicts one row as the service does; takes values by feature name, ``None`` for missing; shape ``(1,)`` or
    ``(1, classes)``."""
