"""Evidence that gates judge from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
from everfit.measures.class_metrics import aligned, union_of
from everfit.measures.weighting import Floats
from everfit.training.candidate import Candidate, ChampionPredictions
from everfit.training.labels import WEIGHT, judging, labels_to_come, learnable
from everfit.training.trainer import encode_labels, encode_rows, fit, predict_rows

_NO_CHAMPION = ChampionPredictions()


def gather_evidence(
    model: Model,
    frame: TrainingFrame,
    candidate: Candidate,
    *,
    settings: TrainingSettings,
    champion: ChampionPredictions = _NO_CHAMPION,
    freshness: Sequence[SourceFreshness],
    predict_packaged: Callable[[], Floats],
    answer: Callable[[Mapping[str, Any]], Floats],
    runtime: str = "native",
    arithmetic: Arithmetic = "float64",
) -> Evidence:
    """Return the evidence that gates judge from; the arguments become its fields of the same names.

    ``predict_packaged`` predicts the hold-out with the saved package, ``answer`` one row.
    """
    split, schema = candidate.split, candidate.fitted.schema
    holdout = judging(model, frame, by=frame.manifest.as_of, since=split.holdout_from)
    learning = learnable(model, frame, by=split.holdout_from, before=split.holdout_from)
    held_out, learnt = encode_rows(schema, holdout), encode_labels(schema, learning[LABEL])
    since_holdout = frame.data.filter(pl.col(TIME) >= split.holdout_from)
    predicted, of_champion, paired = candidate.fitted.predict(held_out.X), champion.prediction, None
    if of_champion is not None and champion.classes:
        if of_champion.ndim == 2:
            paired = _paired(schema, holdout, predicted, of_champion, champion.classes)
        of_champion = aligned(of_champion, champion.classes, schema.classes)
    return Evidence(
        model=model.name,
        task=model.task,
        metric=model.metric,
        features=frame.features,
        reference=learning.drop(WEIGHT),
        holdout=holdout.drop(WEIGHT),
        holdout_rule=split.holdout_rule,
        holdout_from=split.holdout_from,
        history_choice=frame.manifest.history_choice,
        unlabelled=since_holdout.height - holdout.height,
        labels_to_come=labels_to_come(model, frame, by=frame.manifest.as_of, since=split.holdout_from),
        classes=schema.classes,
        truth=held_out.y.astype(np.float64),
        weight=held_out.weight,
        predicted=predicted,
        baseline=baseline_prediction(model.task, learnt, rows=holdout.height, classes=len(schema.classes)),
        champion=of_champion,
        champion_version=champion.version,
        champion_problem=champion.problem,
        champion_remark=champion.remark,
        champion_stand_in=champion.refitted,
        champion_deployed=_deployed(schema, champion),
        champion_recipe=candidate.recipe,
        champion_classes=champion.classes,
        champion_learnt=champion.learnt,
        paired=paired,
        request=request_meaning(schema),
        champion_request=champion.request,
        freshness=freshness,
        frame_end=frame.manifest.end,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        fit_again=partial(_fit_twice, model, frame, candidate, learning, holdout),
        predict_packaged=predict_packaged,
        runtime=runtime,
        arithmetic=arithmetic,
        answer=answer,
    )


def _fit_twice(
    model: Model, frame: TrainingFrame, candidate: Candidate, learning: pl.DataFrame, holdout: pl.DataFrame
) -> tuple[Floats, Floats]:
    rows = newest_of_every_class(model, learning, 20_000)
    schema = infer_schema(model, frame, rows)
    encoded, held_out = encode_rows(schema, rows), encode_rows(schema, holdout)

    def predictions() -> Floats:
        fitted = fit(model, schema, encoded, candidate.params, seed=candidate.seed)
        return predict_rows(fitted, held_out.inputs_of(fitted), rows="rows of the hold-out", model=model.name)

    return predictions(), predictions()


def _deployed(schema: InputSchema, champion: ChampionPredictions) -> Floats | None:
    """Return the predictions of the champion as deployed in the candidate's columns, if it knows the same classes."""
    if champion.deployed is None or set(champion.learnt) != set(schema.classes):
        return None
    return aligned(champion.deployed, champion.learnt, schema.classes) if schema.classes else champion.deployed


def _paired(
    schema: InputSchema, holdout: pl.DataFrame, predicted: Floats, champion: Floats, known: tuple[ClassValue, ...]
) -> Paired | None:
    """Return both predictions with a column for each class that either knows; ``None`` if both know the same ones."""
    if set(known) == set(schema.classes):
        return None
    classes = union_of(schema.classes, known)
    return Paired(
        truth=encode_labels(replace(schema, classes=classes), holdout[LABEL]).astype(np.float64),
        predicted=aligned(predicted, schema.classes, classes),
        champion=aligned(champion, known, classes),
    )


def newest_of_every_class(model: Model, rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return the newest rows, and the newest ones of each class that is not among them, in order.

    A class may have vanished. Without its rows, the fit would not repeat the first one, and most estimators cannot be
    fitted on a single class.
    """
    newest = rows.tail(count)
    if model.task == "regression" or newest.height == rows.height:
        return newest
    older = rows.head(rows.height - count)
    lacking = older.filter(~pl.col(LABEL).is_in(newest[LABEL].unique().implode()))
    after = pl.len().over(LABEL) - pl.int_range(pl.len()).over(LABEL)
    # Of a class that vanished, enough rows for estimators with inner splits by class.
    return pl.concat([lacking.filter(after <= 20), newest])


def baseline_prediction(task: Task, labels: NDArray[Any], *, rows: int, classes: int) -> Floats:
    """Return the predictions of the trivial baseline: the training labels' rate, class shares, or median."""
    if task == "regression":
        return np.full(rows, np.median(labels))
    known = labels[labels >= 0]
    shares = np.bincount(known, minlength=classes) / len(known)
    return np.full(rows, shares[-1]) if task == "binary" else np.tile(shares, (rows, 1))
