"""Gathers what gates may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from everfit.artifact.infer import infer_schema
from everfit.artifact.schema import InputSchema, request_meaning
from everfit.core.class_names import ClassValue
from everfit.core.columns import LABEL, TIME
from everfit.core.evidence import Arithmetic, Evidence, Paired, SourceFreshness, Task, TrainingFrame
from everfit.core.settings import TrainingSettings
from everfit.definitions.model import Model
from everfit.measures.class_alignment import aligned, union_of
from everfit.training.candidate import Candidate
from everfit.training.labels import WEIGHT, judging, labels_to_come, learnable
from everfit.training.trainer import encode_labels, encode_rows, fit, predict_rows

MOST_ROWS_AGAIN = 20_000
"""Rows of the two fits that show whether training repeats; the newest of those it learnt from."""

_LEAST_OF_A_CLASS = 20
"""Rows of a class that vanished; chosen so that estimators with inner splits by class can be fitted."""

Floats = NDArray[np.float64]


def gather_evidence(
    model: Model,
    frame: TrainingFrame,
    candidate: Candidate,
    *,
    settings: TrainingSettings,
    champion: Floats | None,
    champion_version: int | None,
    champion_problem: str,
    champion_stand_in: bool,
    champion_request: Mapping[str, str] | None = None,
    freshness: Sequence[SourceFreshness],
    predict_packaged: Callable[[], Floats],
    answer: Callable[[Mapping[str, Any]], Floats],
    runtime: str = "native",
    arithmetic: Arithmetic = "float64",
    champion_classes: tuple[ClassValue, ...] = (),
    champion_learnt: tuple[ClassValue, ...] = (),
) -> Evidence:
    """Put together what gates judge from; the arguments that are not explained are :class:`Evidence`'s own.

    Args:
        model: The definition.
        frame: What the candidate was trained from.
        candidate: The candidate.
        settings: Resamples and seed.
        champion: The champion's predictions of the hold-out, its own classes in their order.
        champion_version: Its version.
        champion_problem: Why there are none.
        champion_request: What its request fields mean.
        champion_stand_in: Whether they are its recipe's, fitted again without the hold-out.
        freshness: How old the views' newest rows are.
        predict_packaged: The package's predictions of the hold-out.
        answer: The package's answer to one row.
        runtime: The runtime that serves the package.
        arithmetic: The arithmetic of its predictions.
        champion_classes: The classes of the champion's predictions; empty if they are the candidate's.
        champion_learnt: The classes that the champion itself learnt.
    """
    split, schema = candidate.split, candidate.fitted.schema
    holdout = judging(model, frame, by=frame.manifest.as_of, since=split.holdout_from)
    learning = learnable(model, frame, by=split.holdout_from, before=split.holdout_from)
    held_out = encode_rows(schema, holdout)
    since_holdout = frame.data.filter(pl.col(TIME) >= split.holdout_from)

    def fit_again() -> tuple[Floats, Floats]:
        rows = newest_of_every_class(model, learning, MOST_ROWS_AGAIN)
        own = infer_schema(model, frame, rows)
        encoded, asked = encode_rows(own, rows), encode_rows(own, holdout)
        once, twice = (fit(model, own, encoded, candidate.params, seed=candidate.seed) for _ in range(2))
        place = f"model {model.name}"
        first, second = (
            predict_rows(again, asked.inputs_of(again), rows="rows of the hold-out", place=place)
            for again in (once, twice)
        )
        return first, second

    truth, predicted = held_out.y.astype(np.float64), candidate.fitted.predict(held_out.X)
    paired = None
    if champion is not None and champion_classes:
        if champion.ndim == 2:
            paired = _paired(schema, holdout, predicted, champion, champion_classes)
        champion = aligned(champion, champion_classes, schema.classes)

    return Evidence(
        model=model.name,
        task=model.task,
        metric=model.metric,
        features=frame.features,
        reference=learning.drop(WEIGHT),
        holdout=holdout.drop(WEIGHT),
        unlabelled=since_holdout.height - holdout.height,
        labels_to_come=labels_to_come(model, frame, by=frame.manifest.as_of, since=split.holdout_from),
        classes=schema.classes,
        truth=truth,
        weight=held_out.weight,
        predicted=predicted,
        baseline=baseline_prediction(
            model.task, encode_labels(schema, learning[LABEL]), rows=holdout.height, classes=len(schema.classes)
        ),
        champion=champion,
        champion_version=champion_version,
        champion_problem=champion_problem,
        champion_stand_in=champion_stand_in,
        champion_classes=champion_classes,
        champion_learnt=champion_learnt,
        paired=paired,
        request=request_meaning(schema),
        champion_request=champion_request,
        freshness=freshness,
        frame_end=frame.manifest.end,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        fit_again=fit_again,
        predict_packaged=predict_packaged,
        runtime=runtime,
        arithmetic=arithmetic,
        answer=answer,
    )


def _paired(
    schema: InputSchema, holdout: pl.DataFrame, predicted: Floats, champion: Floats, known: tuple[ClassValue, ...]
) -> Paired | None:
    """Both predictions with a column for every class that either knows; ``None`` where both know the same ones."""
    if set(known) == set(schema.classes):
        return None
    classes = union_of(schema.classes, known)
    return Paired(
        truth=encode_labels(replace(schema, classes=classes), holdout[LABEL]).astype(np.float64),
        predicted=aligned(predicted, schema.classes, classes),
        champion=aligned(champion, known, classes),
    )


def newest_of_every_class(model: Model, rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """The newest rows, and of each class that these lack its newest ones, in order.

    A class may have vanished: without it, the estimator would be another one than that which is to be repeated, and
    with a single class most estimators cannot be fitted.
    """
    newest = rows.tail(count)
    if model.task == "regression" or newest.height == rows.height:
        return newest
    older = rows.head(rows.height - count)
    lacking = older.filter(~pl.col(LABEL).is_in(newest[LABEL].unique().implode()))
    after = pl.len().over(LABEL) - pl.int_range(pl.len()).over(LABEL)
    return pl.concat([lacking.filter(after <= _LEAST_OF_A_CLASS), newest])


def baseline_prediction(task: Task, labels: NDArray[Any], *, rows: int, classes: int) -> Floats:
    """What somebody who knows only the training labels would answer: their rate, class shares, or median."""
    if task == "regression":
        return np.full(rows, np.median(labels))
    known = labels[labels >= 0]
    shares = np.bincount(known, minlength=classes) / len(known)
    return np.full(rows, shares[-1]) if task == "binary" else np.tile(shares, (rows, 1))
