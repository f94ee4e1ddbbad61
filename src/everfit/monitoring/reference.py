"""Reference of a version: the rows that it was trained on, its predictions on the hold-out, and feature importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, reduce
from typing import Any

import polars as pl

from everfit.artifact.schema import InputSchema
from everfit.core.columns import LABEL, TIME
from everfit.measures.bins import bins_of, categories_of
from everfit.measures.confidence import alpha_per_window
from everfit.measures.layout import Form, SketchLayout
from everfit.measures.overdispersion import Dispersion
from everfit.measures.sketch import Column, Sketch
from everfit.monitoring.calendar_columns import dated_columns, weekly_columns
from everfit.monitoring.column_levels import UsualLevels, measured_columns, usual_levels
from everfit.monitoring.drift import dispersions
from everfit.monitoring.gaps import UsualGaps, usual_gaps
from everfit.monitoring.performance import Figure, Scale, figure
from everfit.monitoring.prediction_frame import prediction_columns, truth_codes
from everfit.monitoring.windows import WINDOW, Length, placed

HELD_OUT = "held_out"
_LEAST_BLOCKS = 7
_FEW_ROWS = 20
_YEAR = timedelta(days=365)


class Watched:
    """Columns whose distribution is watched, with that of a reference's rows; one without a single value is left out.

    Windows of some length will be compared with it.
    """

    def __init__(self, rows: pl.DataFrame, columns: Sequence[str], *, window: Length) -> None:
        forms = ((name, _form(rows[name])) for name in columns)
        self.layout = SketchLayout({name: form for name, form in forms if form is not None})
        self.sketch = self.count(rows)
        self._rows = rows
        self._window = window
        self._dispersions: dict[int, Mapping[str, Dispersion] | None] = {}
        self._largest_novelty: dict[int, Mapping[str, float]] = {}
        self._gaps: dict[int, Mapping[str, UsualGaps]] = {}
        self._usual: dict[tuple[int, float], UsualLevels] = {}

    def count(self, rows: pl.DataFrame) -> Sketch:
        """Count rows in the reference's layout."""
        sketch = Sketch(self.layout)
        sketch.add(_columns_of(rows, self.layout))
        return sketch

    @cached_property
    def novelty(self) -> Mapping[str, float]:
        """Usual share of unseen categories in each column: of the later half's rows, those new to the earlier half.

        Good's estimate from what occurs only once (:attr:`everfit.measures.bins.Categories.novelty`) takes rows for
        drawn from one urn. Over time aircraft come and go, and each comes often: in two months of flights, six times as
        many rows were strangers as that says.
        """
        rows = max(self._later.height, 1)
        return {name: int(self._new_in_later(name).sum()) / rows for name in self._text_columns}

    def largest_novelty(self, windows: int) -> Mapping[str, float]:
        """Return the largest share of such categories in so many successive windows together of the later half."""
        if windows not in self._largest_novelty:
            place = (placed(self._later, self._window)[WINDOW].rank("dense").cast(pl.Int64) - 1) // windows
            self._largest_novelty[windows] = {
                name: _largest_share(place, self._new_in_later(name)) for name in self._text_columns
            }
        return self._largest_novelty[windows]

    @property
    def _text_columns(self) -> list[str]:
        return [name for name in self.layout.columns if name not in self.layout.numeric]

    @property
    def _later(self) -> pl.DataFrame:
        return self._rows.slice(self._rows.height // 2)

    def _new_in_later(self, name: str) -> pl.Series:
        """Return for each row of the later half whether its category is new to the earlier one; false where missing."""
        known = self._rows[name].head(self._rows.height // 2).unique().implode()
        later = self._later[name]
        return (later.is_not_null() & ~later.is_in(known)).fill_null(False)

    def dispersions(self, windows: int = 1) -> Mapping[str, Dispersion] | None:
        """Return the overdispersion, column by column, of so many successive windows together.

        Where there are too few windows for that it is that of fewer together, and ``None`` where there are too few
        for any.
        """
        if windows not in self._dispersions:
            blocks = self._blocks(windows)
            found = dispersions(blocks) if len(blocks) >= _LEAST_BLOCKS else None
            self._dispersions[windows] = self.dispersions(windows // 2) if found is None and windows > 1 else found
        return self._dispersions[windows]

    @cached_property
    def weekly(self) -> frozenset[str]:
        """The columns that hour and weekday determine: only whole weeks of them are alike."""
        return weekly_columns(self._rows, list(self.layout.columns))

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """The numeric columns that have values enough to have a unit, and are no part of a date."""
        found = measured_columns(self.sketch)
        calendar = self.weekly | dated_columns(self._rows, found)
        return tuple(name for name in found if name not in calendar)

    def usual(self, windows: int, alpha: float) -> UsualLevels:
        """Return the levels of so many successive windows together, and how far they differ without a change."""
        if (windows, alpha) not in self._usual:
            blocks = self._blocks(windows)
            self._usual[windows, alpha] = usual_levels(blocks, self.sketch, self.measured, alpha=alpha)
        return self._usual[windows, alpha]

    def gaps(self, windows: int) -> Mapping[str, UsualGaps]:
        """Return how much is missing of each column in so many successive windows together; none of few windows."""
        if windows not in self._gaps:
            blocks = self._blocks(windows)
            self._gaps[windows] = {
                name: usual_gaps([block.column(name) for block in blocks])
                for name in self.layout.columns
                if len(blocks) >= _LEAST_BLOCKS
            }
        return self._gaps[windows]

    def _blocks(self, windows: int) -> list[Sketch]:
        """Return so many of its successive windows together, without the first and the last, which are cut off."""
        parts = placed(self._rows, self._window).partition_by(WINDOW, maintain_order=True)
        single = [self.count(part) for part in parts[1:-1]]
        joined = [single[first : first + windows] for first in range(0, len(single), windows)]
        return [reduce(Sketch.merge, part) for part in joined if len(part) == windows]


@dataclass(frozen=True)
class ReferenceProfile:
    """Profile of a version's package, in monitoring's form."""

    rows: pl.DataFrame
    """:data:`TIME`, :data:`LABEL`, :data:`KNOWN_AT`, :data:`HELD_OUT`, the predictions (null where the version learnt
    from the row), the features and slices; ordered by event time."""
    scale: Scale
    features: tuple[str, ...]
    importance: Mapping[str, float]
    """Weight of each feature in the model; see :func:`everfit.artifact.importance.measure_importance`."""
    window: Length
    """Length of the windows that are compared with it."""

    @cached_property
    def held_out(self) -> pl.DataFrame:
        """The rows that the version did not learn from, with its answers."""
        return self.rows.filter(pl.col(HELD_OUT))

    @cached_property
    def labelled(self) -> pl.DataFrame:
        """Those of them whose outcome is known."""
        return self.held_out.filter(pl.col(LABEL).is_not_null())

    @cached_property
    def performance(self) -> Figure | None:
        """The metric on the hold-out; ``None`` without one."""
        rows = self.held_out
        return None if rows.is_empty() else figure(rows, self.scale, start=rows[TIME][0], end=rows[TIME][-1])

    @cached_property
    def inputs(self) -> Watched:
        """The features."""
        return Watched(self.rows, self.features, window=self.window)

    @cached_property
    def answers(self) -> Watched:
        """Distribution of the predictions on the hold-out."""
        there = [name for name in self.scale.columns if name in self.held_out.columns]
        return Watched(self.held_out, there, window=self.window)

    @property
    def tests(self) -> int:
        """Number of tests of a window: one for each column, and one for all together."""
        return len(self.inputs.layout.columns) + len(self.answers.layout.columns) + 1

    def window_level(self, alpha: float) -> float:
        """Return the level of all tests of a window together, where ``alpha`` is that of a year without any change."""
        # Windows of rows come as often as they like: alpha is spent on a year of daily ones.
        return alpha_per_window(alpha, 365 if isinstance(self.window, int) else _YEAR / self.window)


def reference_of(
    profile: pl.DataFrame, schema: InputSchema, *, metric: str, importance: Mapping[str, float], window: Length
) -> ReferenceProfile:
    """Return the profile of a package, as :func:`everfit.training.profile.profile_rows` made it, as a reference."""
    rows = profile.with_columns(truth_codes(profile[LABEL], schema.task, schema.classes))
    if schema.task == "multiclass":
        # Answers are the candidate's. Once fitted again on all rows, the version may know a class that the candidate
        # did not: its rows say nothing of how well the version does.
        columns = prediction_columns(schema.task, schema.classes)
        learnt_last = [float(place) for place, name in enumerate(columns) if name not in profile.columns]
        unsaid = pl.col(HELD_OUT) & pl.col(LABEL).is_in(learnt_last)
        rows = rows.with_columns(pl.when(~unsaid).then(LABEL).alias(LABEL))
    scale = Scale(task=schema.task, metric=metric, classes=schema.classes)
    return ReferenceProfile(rows.sort(TIME), scale, schema.names, importance, window)


def _columns_of(rows: pl.DataFrame, layout: SketchLayout) -> dict[str, Column]:
    """Return a frame's columns as a sketch takes them; an absent column, or text for a number, counts as missing."""
    found: dict[str, Column] = {}
    for name in layout.columns:
        values = rows[name] if name in rows.columns else pl.repeat(None, rows.height, dtype=pl.Null, eager=True)
        if name in layout.numeric:
            found[name] = values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        else:
            found[name] = {**_counts(values), None: values.null_count()}
    return found


def _largest_share(place: pl.Series, new: pl.Series) -> float:
    shares = pl.DataFrame({"place": place, "new": new}).group_by("place").agg(rows=pl.len(), share=pl.col("new").mean())
    # The share of a handful of rows says nothing.
    largest = shares.filter(pl.col("rows") >= _FEW_ROWS)["share"].max()
    return largest if isinstance(largest, float) else 0.0


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
