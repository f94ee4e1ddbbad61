"""Scoring of predictions by their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from everfit.core.evidence import Task
from everfit.measures.row_loss import LOSS_KINDS, LossKind, RowLosses, row_losses

ENTRY = "entry"
"""Column: when a label came to count."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Loss and maturity by which two versions' predictions are compared.

    Args:
        metric: The model's; its row loss is compared.
        classes: The label's values, of a multiclass model: those that either version knows. A version's probability of
            a class that it does not know is 0.
        shared: Those that both know, whose probabilities may be compared without labels; by default all.
        wait: A label counts once its row is this old, since labels that become known first are not representative.
        design_effect: Number of a day's rows that carry as much information as one independent row, estimated from
            earlier predictions: a rollout is too short to estimate it.
    """

    task: Task
    metric: str
    classes: Sequence[object] = ()
    shared: Sequence[object] | None = None
    wait: timedelta = timedelta(0)
    design_effect: float = 1.0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of predictions."""
        return self._columns(self.classes)

    @property
    def shared_columns(self) -> tuple[str, ...]:
        """The columns with probabilities of the classes that both versions know."""
        return self._columns(self.classes if self.shared is None else self.shared)

    def _columns(self, classes: Sequence[object]) -> tuple[str, ...]:
        return tuple(f"prediction.{value}" for value in classes) if self.task == "multiclass" else ("prediction",)

    def mature(self, answers: pl.DataFrame, now: datetime) -> pl.DataFrame:
        """Return the predictions whose label counts by now, in the order of :data:`ENTRY`."""
        entry = pl.max_horizontal(pl.col("label_known_at"), pl.col("event_time") + self.wait)
        usable = pl.all_horizontal(pl.col(name).is_finite() for name in self.columns)
        known = answers.filter(pl.col("label").is_not_null(), usable).with_columns(entry.alias(ENTRY))
        return known.filter(pl.col(ENTRY) <= now).sort(ENTRY, "id")

    def losses(self, answers: pl.DataFrame, *, suffix: str = "") -> RowLosses:
        """Return the losses by ``label`` of the predictions in the columns, whose names end with ``suffix``."""
        truth = answers["label"].cast(pl.Float64).to_numpy()
        chosen = answers.select(pl.col(f"{name}{suffix}").cast(pl.Float64) for name in self.columns).to_numpy()
        return row_losses(self.kind, truth, chosen[:, 0] if len(self.columns) == 1 else chosen)

    @property
    def kind(self) -> LossKind:
        """The row loss of the metric."""
        return LOSS_KINDS[self.metric]
