"""What the stations hand each other when it carries frames or arrays."""

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
"""Which labels are learnt from: every one known by then; those of events so old that hardly one is missing; or every
one, counting as many times as there are events whose label is still to come."""

Arithmetic = Literal["float64", "float32"]
"""Precision of the sums that a prediction is computed with."""

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
    """The columns the estimator sees, in order."""
    request: tuple[str, ...]
    """The request fields."""
    manifest: FrameManifest
    """Time range, sources and digest of the data."""


@dataclass(frozen=True, kw_only=True)
class SourceFreshness:
    """How old the newest row of a source was at the end of the frame, against the ttl of its view."""

    source: str
    view: str
    age: timedelta | None
    """``None`` if the source holds no row at all."""
    ttl: timedelta
    rows: int = 0
    """Rows of the view that :attr:`infinite` was counted in: those of the last ttl, or more if there were none."""
    infinite: Mapping[str, int] = field(default_factory=dict)
    """By feature, how many values were infinite, if any."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A candidate and a champion that do not know the same classes, on the same rows.

    ``truth`` is the place among all classes that either knows, or -1; the predictions, shape ``(rows, classes)``, have
    zeros where a version does not know the class.
    """

    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    champion: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that gates may look at. Arrays are aligned with the rows of ``holdout``, all of which are labelled.

    Predictions are the chance of the positive class, shape ``(rows,)`` (binary), the classes' chances, shape
    ``(rows, classes)`` (multiclass), or the value, shape ``(rows,)`` (regression). ``truth`` is 0/1 for binary, the
    class's index for multiclass, the value for regression; -1 where it is a class that the candidate did not learn,
    which every metric scores as the worst.
    """

    model: str
    """Name of the model."""
    task: Task
    """``binary``, ``multiclass`` or ``regression``."""
    metric: str
    """Name of the metric that the candidate was tuned by."""
    features: tuple[str, ...]
    """The columns that the estimator sees, in order."""
    reference: pl.DataFrame
    """The labelled rows the candidate learnt from; columns as in :class:`TrainingFrame`."""
    holdout: pl.DataFrame
    """The newest labelled rows, which the candidate did not learn from; columns as in :class:`TrainingFrame`."""
    unlabelled: int
    """Rows in the hold-out's time range without a label yet, left out of ``holdout``."""
    labels_to_come: float
    """How many of those are to be expected to get one, by how long labels take."""
    classes: tuple[str | int | bool, ...]
    """The labels' values, in the order of ``predicted``'s columns; empty for a regression."""
    truth: NDArray[np.float64]
    """The labels, shape ``(rows,)``."""
    weight: NDArray[np.float64]
    """How much each row counts, so that labels that come early do not speak for those to come; about one on average,
    and one throughout where nearly all are known. Shape ``(rows,)``."""
    predicted: NDArray[np.float64]
    """The candidate's predictions of ``holdout``."""
    baseline: NDArray[np.float64]
    """What the trivial baseline answers: the training rows' rate, class shares or median."""
    champion: NDArray[np.float64] | None
    """The champion's predictions of ``holdout``, in the columns of ``classes``: a class that only the champion knows is
    left out, see ``paired``. ``None`` if there is no champion, or it could not be scored."""
    champion_version: int | None
    """Number of the champion's version, if there is one."""
    champion_problem: str
    """Why the champion could not be scored on these rows; empty if it was, or if there is none."""
    champion_stand_in: bool = False
    """Whether ``champion`` is not the champion's own answer but its recipe's, fitted again without the hold-out, since
    the champion itself has learnt from rows of it."""
    champion_classes: tuple[str | int | bool, ...] = ()
    """The classes of the champion's predictions; empty without one, and for a regression."""
    champion_learnt: tuple[str | int | bool, ...] = ()
    """The classes that the champion itself learnt: its recipe, fitted again, may know more."""
    paired: Paired | None = None
    """The comparison with a champion that does not know the same classes; ``None`` where it does."""
    freshness: Sequence[SourceFreshness]
    """Age of each view's source at the end of the frame."""
    request: Mapping[str, str] = field(default_factory=dict)
    """The meaning of every request field of the candidate: its type, and what it serves as; see
    :func:`everfit.artifact.schema.request_meaning`."""
    champion_request: Mapping[str, str] | None = None
    """The same of the champion; ``None`` if there is none."""
    frame_end: datetime
    """End of the training frame, exclusive, in UTC."""
    bootstrap: int
    """Bootstrap resamples for intervals."""
    seed: int
    """Seed of everything random."""
    fit_again: Callable[[], tuple[NDArray[np.float64], NDArray[np.float64]]] = field(compare=False)
    """Fits twice with the same seed on the same (bounded) rows and returns both predictions of the hold-out."""
    predict_packaged: Callable[[], NDArray[np.float64]] = field(compare=False)
    """The hold-out's predictions by the package as saved and loaded again."""
    runtime: str = "native"
    """Name of the runtime that serves the package."""
    arithmetic: Arithmetic = "float64"
    """That of its predictions."""
    answer: Callable[[Mapping[str, Any]], NDArray[np.float64]] = field(compare=False)
    """One row through the packaged serving path: feature name to value, ``None`` for missing; shape ``(1,)`` or
    ``(1, classes)``."""
