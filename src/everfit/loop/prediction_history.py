"""What was answered and what became of it, held in memory and kept up with the lake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from everfit.core.errors import EverfitError
from everfit.store.deployment import ModelDeployment
from everfit.store.timestamps import in_years

if TYPE_CHECKING:
    from everfit.artifact.package import Package
    from everfit.definitions.model import Model
    from everfit.system import System

_MOST_ROWS = 2_000_000
"""Of a model's predictions, held in memory without their features: some hundred bytes each. The oldest make way."""
_KEEP = ("id", "version", "route", "row", "recorded_at", "event_time", "latency_us", "segment", "place")


class Answers:
    """A model's answers without their features, but for some columns; each file of the lake is read once.

    Args:
        lake: The lake's folder.
        journal: The journal's folder.
        model: Its name.
        columns: Features or request fields to keep; all of them if ``None``.
        include_unshipped: Also read what is not in the lake yet, each time.
    """

    def __init__(
        self,
        lake: Path,
        journal: Path,
        model: str,
        *,
        columns: Sequence[str] | None = (),
        include_unshipped: bool = False,
    ) -> None:
        from everfit.journal import outcome_rows, prediction_rows
        from everfit.store.table_tailer import TableTailer

        kept = {*_KEEP, *(f"{kind}.{name}" for name in columns or () for kind in ("feature", "request"))}

        def wanted(name: str) -> bool:
            return columns is None or name in kept or name.partition(".")[0] == prediction_rows.PREDICTION

        self._wanted: Callable[[str], bool] = wanted
        self._journal, self._include_unshipped, self.model = journal, include_unshipped, model
        self._predictions = TableTailer(lake, f"predictions/{model}", prediction_rows.BASE, wanted, "event_time")
        self._told = TableTailer(lake, f"outcomes/{model}", outcome_rows.BASE, lambda _: True, "recorded_at")
        self._shipped = self._outcomes = pl.DataFrame()
        self._unshipped: list[pl.LazyFrame] = []
        self._repeats = False
        self.rows = pl.DataFrame()
        """Every prediction, with ``mark``, ordered by event time and id."""
        self.outcomes = pl.DataFrame()
        """Every report of an outcome."""
        self.left_out = 0
        """Rows of both that are left out, since their event or known time breaks the rule for instants."""

    def catch_up(self) -> None:
        """Read what was added since the last call.

        Raises:
            StoreError: If the lake or the log cannot be read.
        """
        from everfit.journal.logs import OUTCOME_LOG, PREDICTION_LOG

        # The log first: what is shipped in between is in the tables then, and told by its segment's name.
        both = PREDICTION_LOG, OUTCOME_LOG
        waiting = [part for log in both for part in log.unshipped(self._journal)] if self._include_unshipped else []
        new, is_all = self._predictions.grown()
        if is_all or new.height:
            self._shipped = _in_order(self._shipped.clear() if is_all else self._shipped, new).tail(_MOST_ROWS)
            self._repeats = self._shipped.select(pl.struct("id", "route").n_unique()).item() < self._shipped.height
        told, is_all = self._told.grown()
        self._outcomes = told if is_all else pl.concat([self._outcomes, told], how="diagonal_relaxed")
        self.rows, self.outcomes, self._unshipped = self._shipped, self._outcomes, []
        self.left_out = self._predictions.left_out + self._told.left_out
        for part in waiting:
            kept = in_years(part.rows)
            if part.table.startswith(f"predictions/{self.model}/") and not _has(self._shipped, part.segment):
                self._unshipped.append(kept.lazy())
                self._repeats = True
            elif part.table == f"outcomes/{self.model}" and not _has(self._outcomes, part.segment):
                self.outcomes = pl.concat([self.outcomes, kept], how="diagonal_relaxed")
            else:
                continue
            self.left_out += part.rows.height - kept.height
        for frame in self._unshipped:
            few = frame.select(name for name in frame.collect_schema() if self._wanted(name)).collect()
            self.rows = _in_order(self.rows, few)

    def made_by(self, as_of: datetime) -> pl.DataFrame:
        """The predictions that had been made; one that was asked for twice counts once, as first answered."""
        from everfit.journal.outcomes import first_answers

        made = self.rows.filter(pl.col("recorded_at") <= as_of)
        return first_answers(made.lazy(), as_of).sort("event_time", "id").collect() if self._repeats else made

    def between(self, first: datetime, last: datetime, columns: Sequence[str]) -> pl.DataFrame:
        """Predictions that were asked within two instants, both included, with ``mark`` and more columns.

        Args:
            first: By event time.
            last: By event time.
            columns: Features or request fields.
        """
        from everfit.store.lake import united

        more = {f"{kind}.{name}" for name in columns for kind in ("feature", "request")}

        def wanted(name: str) -> bool:
            return self._wanted(name) or name in more

        unshipped = [
            frame.select(name for name in frame.collect_schema() if wanted(name)).filter(
                pl.col("event_time").is_between(first, last)
            )
            for frame in self._unshipped
        ]
        return _marked(united([self._predictions.between(first, last, wanted), *unshipped]).collect())


def _has(rows: pl.DataFrame, segment: str) -> bool:
    return not rows.is_empty() and bool((rows["segment"] == segment).any())


def _marked(rows: pl.DataFrame) -> pl.DataFrame:
    # Few enough bits for the sum of a window's to be a whole number of 64.
    mark = pl.struct("segment", "place", "row").hash() // (1 << 24)
    return rows.with_columns(mark.cast(pl.Int64).alias("mark"))


def _in_order(held: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """What is held, in order, with what is new: only what may be out of order is sorted."""
    new = _marked(new)
    if held.is_empty():
        return new.sort("event_time", "id")
    if new.is_empty():
        return held
    earliest = new["event_time"].min()
    first = held.select(pl.col("event_time").search_sorted(earliest, side="left")).item()
    tail = pl.concat([held[first:], new], how="diagonal_relaxed").sort("event_time", "id")
    return pl.concat([held[:first], tail], how="diagonal_relaxed")


@dataclass(frozen=True)
class Known:
    """What had become of predictions at an instant."""

    outcomes: pl.DataFrame
    """``id``, ``outcome`` as text and ``outcome_known_at``; every id once."""
    reports: pl.DataFrame | None
    """As they were reported: ``id`` and ``value``, one row each; ``None`` if nothing was reported twice."""

    def joined(self, predictions: pl.DataFrame) -> pl.DataFrame:
        """Predictions with their outcomes, in their order; null where none was known."""
        return predictions.join(self.outcomes, on="id", how="left", maintain_order="left")


def known_of(system: System, definition: Model, answers: Answers, asked: pl.DataFrame, now: datetime) -> Known:
    """What was reported to the service, and what the events' source says; the former counts.

    Args:
        system: The parts.
        definition: The model.
        answers: Its, caught up.
        asked: The predictions, with their ``id``.
        now: Nothing that became known later is used.
    """
    from everfit.features.labels import scan_labels
    from everfit.journal.outcomes import OUTCOME, OUTCOME_KNOWN_AT, latest_outcomes

    told = latest_outcomes(answers.outcomes.lazy(), now).drop("recorded_at").collect()
    labels = scan_labels(definition, system.reader, as_of=now).with_columns(pl.col("value").cast(pl.String)).collect()
    said = labels
    if is_twice := labels["id"].n_unique() < labels.height:
        said = labels.sort("known_at", "value").unique("id", keep="last")
    if told.height:
        said = said.join(told, on="id", how="anti")
    found = pl.concat([told, said], how="diagonal_relaxed")
    reported = answers.outcomes.filter(pl.col("recorded_at") <= now).select("id", "value")
    reports = None
    if is_twice or reported.height:
        ours = labels.join(asked.select("id"), on="id", how="semi").select("id", "value")
        # What the service was told and the source says as well was said once by each.
        reports = pl.concat([reported, ours.join(reported, on=["id", "value"], how="anti")])
    return Known(
        outcomes=found.select("id", pl.col("value").alias(OUTCOME), pl.col("known_at").alias(OUTCOME_KNOWN_AT)),
        reports=reports,
    )


def packages_of(
    system: System, model: str, versions: Sequence[int], deployed: ModelDeployment | None
) -> dict[int, Package]:
    """The packages of the versions that answered; one that is gone, or that nobody trusts, is left out."""
    from everfit.artifact.package import open_package

    folders = {each.version: system.deployment.folder_of(each) for each in deployed.taking_part} if deployed else {}
    found = {}
    for version in versions:
        try:
            folder = folders.get(version) or system.registry.fetch(system.registry.version(model, version))
            found[version] = open_package(folder, trust=system.trust)
        except EverfitError:
            continue
    return found
