"""ReferenceProfile of a version: the rows that it was trained on, and its predictions on the hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from everfit.artifact.schema import InputSchema
from everfit.core.columns import LABEL, TIME
from everfit.measures.bins import bins_of, categories_of
from everfit.measures.layout import Form, SketchLayout
from everfit.measures.overdispersion import Dispersion
from everfit.measures.sketch import Column, Sketch
from everfit.monitoring.drift import dispersions
from everfit.monitoring.performance import Scale
from everfit.monitoring.prediction_frame import prediction_columns, truth_codes
from everfit.monitoring.windows import WINDOW, Length, placed

HELD_OUT = "held_out"
_LEAST_BLOCKS = 7


class Watched:
    """Columns whose distribution is watched, with that of a reference.

    Args:
        rows: The reference's; the columns, and :data:`TIME`.
        columns: Their names. One without a single value is left out.
        window: How long the windows are that will be compared with it.
    """

    def __init__(self, rows: pl.DataFrame, columns: Sequence[str], *, window: Length) -> None:
        forms = ((name, _form(rows[name])) for name in columns)
        self.layout = SketchLayout({name: form for name, form in forms if form is not None})
        self.sketch = self.count(rows)
        self._rows = rows
        self._window = window

    def count(self, rows: pl.DataFrame) -> Sketch:
        """Count rows in the reference's layout."""
        sketch = Sketch(self.layout)
        sketch.add(columns_of(rows, self.layout))
        return sketch

    @cached_property
    def novelty(self) -> Mapping[str, float]:
        """Usual share of unseen categories in each column: of the later half's rows, the share whose value
        the earlier half does not have.

        Good's estimate from what occurs only once (:attr:`everfit.measures.bins.Categories.novelty`) takes rows for
        drawn from one urn. Over time aircraft come and go, and each comes often: in two months of flights, six times as
        many rows were strangers as that says.
        """
        earlier, later = self._rows.head(self._rows.height // 2), self._rows.slice(self._rows.height // 2)
        return {
            name: int((~later[name].drop_nulls().is_in(earlier[name].unique().implode())).sum()) / max(later.height, 1)
            for name in self.layout.columns
            if name not in self.layout.numeric
        }

    @cached_property
    def dispersions(self) -> Mapping[str, Dispersion] | None:
        """Overdispersion of its windows, column by column; ``None`` where there are too few windows."""
        parts = placed(self._rows, self._window).partition_by(WINDOW, maintain_order=True)
        # The first and the last window are cut off.
        return dispersions([self.count(part) for part in parts[1:-1]]) if len(parts) >= _LEAST_BLOCKS + 2 else None


@dataclass(frozen=True)
class ReferenceProfile:
    """Profile of a version's package, in monitoring's form.

    Args:
        rows: :data:`TIME`, :data:`LABEL`, :data:`KNOWN_AT`, :data:`HELD_OUT`, the predictions (null where the version
            learnt from the row), the features and slices; ordered by event time.
        scale: How to score.
        features: The columns that the model uses.
        importance: How much it uses each of them.
        window: How long the windows are that are compared with it.
    """

    rows: pl.DataFrame
    scale: Scale
    features: tuple[str, ...]
    importance: Mapping[str, float]
    window: Length

    @cached_property
    def held_out(self) -> pl.DataFrame:
        """The rows that the version did not learn from, with its answers."""
        return self.rows.filter(pl.col(HELD_OUT))

    @cached_property
    def inputs(self) -> Watched:
        """The features."""
        return Watched(self.rows, self.features, window=self.window)

    @cached_property
    def answers(self) -> Watched:
        """Distribution of the predictions on the hold-out."""
        columns = prediction_columns(self.scale.task, self.scale.classes)
        there = [name for name in columns if name in self.held_out.columns]
        return Watched(self.held_out, there, window=self.window)


def reference_of(
    profile: pl.DataFrame,
    schema: InputSchema,
    *,
    metric: str,
    importance: Mapping[str, float],
    window: Length,
) -> ReferenceProfile:
    """Return a package's profile as a reference.

    Args:
        profile: As :func:`everfit.training.profile.profile_rows` made it.
        importance: See :class:`ReferenceProfile`.
        window: See :class:`ReferenceProfile`.
    """
    rows = profile.with_columns(truth_codes(profile[LABEL], schema.task, schema.classes))
    if schema.task == "multiclass":
        # Answers are the candidate's. Once fitted again on all rows, the version may know a class that the candidate
        # did not: its rows say nothing of how well the version does.
        columns = prediction_columns(schema.task, schema.classes)
        learnt_last = [float(place) for place, name in enumerate(columns) if name not in profile.columns]
        unsaid = pl.col(HELD_OUT) & pl.col(LABEL).is_in(learnt_last)
        rows = rows.with_columns(pl.when(~unsaid).then(LABEL).alias(LABEL))
    return ReferenceProfile(
        rows=rows.sort(TIME),
        scale=Scale(task=schema.task, metric=metric, classes=schema.classes),
        features=schema.names,
        importance=importance,
        window=window,
    )


def columns_of(rows: pl.DataFrame, layout: SketchLayout) -> dict[str, Column]:
    """Return a frame's columns as a sketch takes them; an absent column, or text for a number, counts as missing."""
    found: dict[str, Column] = {}
    for name in layout.columns:
        values = rows[name] if name in rows.columns else pl.repeat(None, rows.height, dtype=pl.Null, eager=True)
        if name in layout.numeric:
            found[name] = values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        else:
            found[name] = {**_counts(values), None: values.null_count()}
    return found


def _form(values: pl.Series) -> Form | None:
    """Return the cells of a column; ``None`` for one without a single value."""
    if values.dtype.is_numeric():
        numbers = values.cast(pl.Float64).drop_nulls().to_numpy()
        return bins_of(numbers) if len(numbers) else None
    counts = _counts(values)
    return categories_of(counts) if counts else None


def _counts(values: pl.Series) -> dict[Any, int]:
    known = values.drop_nulls()
    # The journal has no type for what it saw in one segment only as a boolean, in another as text.
    found = (known if known.dtype == pl.Boolean else known.cast(pl.String)).value_counts()
    return dict(found.iter_rows())
