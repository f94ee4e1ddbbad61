"""How answers are scored once outcomes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from everfit.core.evidence import Task
from everfit.measures.row_loss import LOSS_KINDS, LossKind, RowLosses, row_losses

if TYPE_CHECKING:
    import polars as pl

ENTRY = "entry"
"""When an outcome came to count."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is needed to score answers.

    Args:
        task: The model's.
        metric: What is measured.
        classes: The label's values, of a multiclass model: those that either version knows. A version gives no chance
            to a class that it does not know.
        shared: Those that both know, whose chances may be compared without outcomes; by default all.
        wait: An outcome counts once its row is this old, since those that become known first are seldom like the rest.
        alike: So many rows of a day tell as much as one that resembles no other, by what was answered before: a rollout
            is too short to tell.
    """

    task: Task
    metric: str
    classes: Sequence[object] = ()
    shared: Sequence[object] | None = None
    wait: timedelta = timedelta(0)
    alike: float = 1.0

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that hold the answers."""
        if self.task == "multiclass":
            return tuple(f"prediction.{each}" for each in self.classes)
        return ("prediction",)

    @property
    def shared_columns(self) -> tuple[str, ...]:
        """The names of the columns that hold chances of the classes that both versions know."""
        if self.task == "multiclass" and self.shared is not None:
            return tuple(f"prediction.{value}" for value in self.shared)
        return self.columns

    def mature(self, answers: pl.DataFrame, now: datetime) -> pl.DataFrame:
        """The answers whose outcome counts by now, in the order in which they came to count, with :data:`ENTRY`."""
        import polars as pl

        entry = pl.max_horizontal(pl.col("outcome_known_at"), pl.col("event_time") + self.wait)
        usable = pl.all_horizontal(pl.col(each).is_finite() for each in self.columns)
        known = answers.filter(pl.col("truth").is_not_null(), usable).with_columns(entry.alias(ENTRY))
        return known.filter(pl.col(ENTRY) <= now).sort(ENTRY, "id")

    def losses(self, answers: pl.DataFrame, *, suffix: str = "") -> RowLosses:
        """The losses of labelled answers.

        Args:
            answers: With ``truth`` and the columns of answers.
            suffix: What the names of the columns of answers end with.
        """
        import polars as pl

        truth = answers["truth"].cast(pl.Float64).to_numpy()
        chosen = answers.select(pl.col(f"{each}{suffix}").cast(pl.Float64) for each in self.columns).to_numpy()
        return row_losses(self.kind, truth, chosen[:, 0] if len(self.columns) == 1 else chosen)

    @property
    def kind(self) -> LossKind:
        """The loss that stands for the metric."""
        return LOSS_KINDS[self.metric]
