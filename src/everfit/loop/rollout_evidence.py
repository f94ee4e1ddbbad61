"""Evidence on a challenger while it is rolled out: predictions, failures and labels, read from the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl

from everfit.artifact.schema import InputSchema
from everfit.core.columns import PREDICTION
from everfit.core.rollout import Rollout, StageEvidence
from everfit.definitions.model import Model
from everfit.delivery.scoring import Scoring
from everfit.delivery.stage_metrics import stage_evidence
from everfit.journal.label_join import join_labels, known_labels
from everfit.journal.prediction_history import PredictionHistory
from everfit.journal.tables import scan_failures
from everfit.measures.class_metrics import union_of
from everfit.measures.overdispersion import design_effect
from everfit.monitoring.evaluation import ANSWERS, own_rows
from everfit.monitoring.maturity import learn_delays
from everfit.monitoring.prediction_frame import chances, standard_rows, truth_codes
from everfit.system import System

_MATURE = 0.9
"""An outcome counts once this share of outcomes as old as it is known: the first to come are seldom like the rest."""


def rollout_evidence(
    system: System,
    definition: Model,
    rollout: Rollout,
    schemas: Mapping[int, InputSchema],
    history: PredictionHistory,
    now: datetime,
) -> StageEvidence:
    """Return the evidence that a rollout's next transition is decided by; raises :class:`StoreError`.

    Args:
        schemas: Of the champion and of the challenger, by number.
        history: The model's predictions and labels, caught up.
        now: Nothing that was recorded or became known later is used.
    """
    joined = join_labels(history.as_of(now), known_labels(history.outcomes, history.labels, now))
    failures = scan_failures(system.lake, system.journal, definition.name).filter(pl.col("recorded_at") <= now)
    own = failures.filter(pl.col("version").is_in([rollout.version, rollout.previous])).collect()
    return evidence_of(joined, own, definition=definition, rollout=rollout, schemas=schemas, now=now)


def evidence_of(
    joined: pl.DataFrame,
    failures: pl.DataFrame,
    *,
    definition: Model,
    rollout: Rollout,
    schemas: Mapping[int, InputSchema],
    now: datetime,
) -> StageEvidence:
    """Return the evidence by predictions with their labels, and rows that could not be predicted. Pure.

    Args:
        joined: Of all versions, as :func:`~everfit.journal.label_join.join_labels` returns them.
        failures: As :func:`~everfit.delivery.stage_metrics.stage_evidence` takes them.
        schemas: Of the champion and of the challenger, by number.
    """
    schema, challenger = schemas[rollout.previous], schemas[rollout.version]
    champion = standard_rows(own_rows(joined, rollout.previous, ANSWERS), schema)
    wait_s = learn_delays(champion, as_of=now, classes=schema.classes).age_known_s(_MATURE)
    scoring = Scoring(
        task=definition.task,
        metric=definition.metric,
        classes=union_of(schema.classes, challenger.classes) if definition.task == "multiclass" else schema.classes,
        shared=tuple(value for value in schema.classes if value in challenger.classes),
        wait=timedelta(seconds=wait_s or 0.0),
    )
    joined = joined.with_columns(
        truth_codes(joined["label"], definition.task, scoring.classes).alias("label"),
        *chances(joined.columns, scoring.columns),
    )
    if definition.task == "binary" and challenger.positive != schema.positive:
        # The challenger predicts the chance of the other class: turned round, it is compared with the champion's.
        turned = pl.when(pl.col("version") == rollout.version).then(1.0 - pl.col(PREDICTION)).otherwise(PREDICTION)
        joined = joined.with_columns(turned.alias(PREDICTION))
    before = joined.filter(pl.col("recorded_at") < rollout.began_at, pl.col("route").is_in(["champion", "canary"]))
    return stage_evidence(
        joined.filter(pl.col("recorded_at") >= rollout.began_at),
        failures,
        rollout=rollout,
        plan=definition.rollout_plan,
        scoring=replace(scoring, design_effect=_alike(scoring, before, now)),
        now=now,
    )


def _alike(scoring: Scoring, before: pl.DataFrame, now: datetime) -> float:
    """Return the design effect of days: storms make all flights of a day late."""
    mature = scoring.mature(before, now)
    if mature.is_empty():
        return 1.0
    values, rows = scoring.losses(mature)
    days = mature["event_time"].dt.epoch("d").to_numpy()
    return design_effect(values, days[rows])
