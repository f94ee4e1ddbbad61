"""Drift, window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, reduce
from itertools import pairwise

import numpy as np
import polars as pl
from msgspec import Struct, structs

from everfit.core.columns import TIME
from everfit.core.finding import Finding, Severity
from everfit.definitions.watch import Drift, Season
from everfit.measures.bins import Bins
from everfit.measures.confidence import alpha_per_window
from everfit.measures.overdispersion import Dispersion
from everfit.measures.sketch import ColumnSketch, Sketch
from everfit.monitoring.data_quality import LEAST_ROWS
from everfit.monitoring.drift import ColumnDrift, dispersions, drift
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile, Watched
from everfit.monitoring.windows import WINDOW, Length, Window, complete_windows, placed

_YEAR = timedelta(days=365)
_TRAILING = timedelta(days=28)
_LEAST_BEFORE = 7
"""Windows that must lie before one that is compared with them."""
_FEW_ROWS = 10
"""A window of the thinned rows that a version was made from may be small, but not that small."""
MOST_WINDOWS = 400
_NOTICEABLE = 0.1
"""A feature whose share in the answers, or whose effect, is smaller is worth knowing, and no more."""
_CELLS_SHOWN = 20
_BESIDE: Mapping[Season, str] = {
    "training": "",
    "trailing": ", from where it was in the four weeks before",
    "season": ", from where it was at that time a year before",
}


class DriftWindow(Struct, frozen=True, kw_only=True):
    """Drift of every column in one window."""

    start: datetime
    end: datetime
    rows: int
    columns: tuple[ColumnDrift, ...]
    """By rank; the answers among them. None if there was nothing to compare with."""
    against: Season = "training"
    """The reference that the features were compared with, which may reach back less than was asked for: see
    :class:`everfit.definitions.watch.Drift`."""

    @property
    def drifted(self) -> tuple[str, ...]:
        """The columns that moved, by rank."""
        return tuple(column.column for column in self.columns if column.drifted)


class Distribution(Struct, frozen=True, kw_only=True):
    """A column before and after."""

    column: str
    labels: tuple[str, ...]
    """Of the bins or categories; the last is what is missing."""
    before: tuple[float, ...]
    """Their shares in what the version was made from."""
    after: tuple[float, ...]
    """Their shares in the window."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A window's rows, counted in a reference's layouts."""

    start: datetime
    end: datetime
    inputs: Sketch
    answers: Sketch
    mark: int = 0
    """See :class:`everfit.monitoring.windows.Window`."""

    def merge(self, other: Counted) -> Counted:
        """More rows of the same window."""
        inputs, answers = self.inputs.merge(other.inputs), self.answers.merge(other.answers)
        return replace(self, inputs=inputs, answers=answers)


Judged = dict[tuple[object, ...], DriftWindow]
"""Earlier results of :func:`drift_windows`, by what they depend on."""


def newest_windows(rows: pl.DataFrame, length: Length, *, until: datetime) -> tuple[Window, ...]:
    """Return the newest complete windows with rows enough, oldest first; arguments as for :func:`complete_windows`."""
    newest = complete_windows(rows, length, until=until)[-MOST_WINDOWS:]
    return tuple(window for window in newest if window.rows >= LEAST_ROWS)


def count_windows(rows: pl.DataFrame, reference: ReferenceProfile, *, until: datetime) -> tuple[Counted, ...]:
    """Count the newest complete windows with rows enough, oldest first.

    Args:
        rows: In the form of :mod:`everfit.monitoring.prediction_frame`.
        reference: The version's; its window is how long they are.
        until: Windows that end later are not complete.
    """
    inside = placed(rows, reference.window)
    parts = inside.partition_by(WINDOW, as_dict=True)
    return tuple(
        count(window, parts[(window.number,)], reference)
        for window in newest_windows(inside, reference.window, until=until)
    )


def count(window: Window, rows: pl.DataFrame, reference: ReferenceProfile) -> Counted:
    """Count one window's rows."""
    return Counted(
        start=window.start,
        end=window.end,
        inputs=reference.inputs.count(rows),
        answers=reference.answers.count(rows),
        mark=window.mark,
    )


def drift_windows(
    windows: Sequence[Counted], reference: ReferenceProfile, watch: Drift, *, judged: Judged | None = None
) -> tuple[DriftWindow, ...]:
    """Hold every window against the reference, or against the weeks before it.

    Args:
        windows: Oldest first.
        watch: What is worth saying.
        judged: What was found before for this reference; what is found is added, and what no longer occurs is dropped.
            The windows must have marks.
    """
    known, found = dict(judged or {}), {}
    history = _ComparisonWindows(windows, reference, watch.against)
    for place, window in enumerate(windows):
        key = (watch, window.start, window.mark, *(one.mark for _, before in history.served(place) for one in before))
        found[key] = known.get(key) or _judge(window, history.before(place), reference, watch)
    if judged is not None:
        judged.clear()
        judged.update(found)
    return tuple(found.values())


Before = list[tuple[Season, Sequence[Counted]]]
"""Windows to compare one with, the best first."""


@dataclass(frozen=True)
class _ComparisonWindows:
    """Windows that a window may be compared with, unless it is compared with the whole reference."""

    windows: Sequence[Counted]
    reference: ReferenceProfile
    against: Season

    def served(self, place: int) -> Before:
        """Return windows that this version predicted before."""
        if self.against == "training":
            return []
        start, earlier = self.windows[place].start, self.windows[:place]
        trailing = [one for one in earlier if one.start >= start - _TRAILING]
        if self.against == "trailing":
            return [("trailing", trailing)]
        return [("season", _about(earlier, start - _YEAR)), ("trailing", trailing)]

    def before(self, place: int) -> Before:
        """Return the same, and between them windows of the reference."""
        served = self.served(place)
        if self.against != "season":
            return served
        return [served[0], ("season", _about(self.learnt, self.windows[place].start - _YEAR)), *served[1:]]

    @cached_property
    def learnt(self) -> tuple[Counted, ...]:
        """Windows of the reference; predictions are those on the hold-out."""
        rows, reference = placed(self.reference.rows, self.reference.window), self.reference
        parts = rows.partition_by(WINDOW, as_dict=True)
        present = complete_windows(rows, reference.window, until=reference.rows[TIME][-1])
        return tuple(
            Counted(
                start=window.start,
                end=window.end,
                inputs=reference.inputs.count(part),
                answers=reference.answers.count(part.filter(HELD_OUT)),
            )
            for window in present
            for part in [parts[(window.number,)]]
        )


def _about(windows: Sequence[Counted], moment: datetime) -> list[Counted]:
    """Return the windows of the four weeks around an instant."""
    return [window for window in windows if abs(window.start - moment) <= _TRAILING / 2]


def _judge(window: Counted, before: Before, reference: ReferenceProfile, watch: Drift) -> DriftWindow:
    # Windows of rows come as often as they like: alpha is spent on a year of daily ones.
    a_year = 365 if isinstance(reference.window, int) else _YEAR / reference.window
    alpha = alpha_per_window(watch.alpha, a_year)
    # A look at all columns together (everfit.monitoring.joint_drift) counts as one more.
    width = len(reference.inputs.layout.columns) + len(reference.answers.layout.columns) + 1
    inputs = [(season, [one.inputs for one in some]) for season, some in before]
    answers = [(season, [one.answers for one in some]) for season, some in before]
    parts: tuple[tuple[Watched, Sketch, list[tuple[Season, list[Sketch]]], Mapping[str, float]], ...] = (
        (reference.answers, window.answers, answers, {}),
        (reference.inputs, window.inputs, inputs, reference.importance),
    )
    columns: list[ColumnDrift] = []
    compared_with = watch.against
    for watched, sketch, earlier, importance in parts:
        base = _base(watched, earlier, watch)
        own = len(watched.layout.columns)
        if base is not None and own:
            compared_with, against, spread = base
            columns += drift(
                against,
                sketch,
                importance=importance,
                alpha=alpha * own / width,
                worthwhile=watch.effect,
                dispersions=spread,
            )
    return DriftWindow(
        start=window.start,
        end=window.end,
        rows=window.inputs.rows,
        columns=_ranked(columns),
        against=compared_with,
    )


def _base(
    watched: Watched, before: Sequence[tuple[Season, Sequence[Sketch]]], watch: Drift
) -> tuple[Season, Sketch, Mapping[str, Dispersion] | None] | None:
    """Return the merged comparison windows with their overdispersion; ``None`` if there are too few rows."""
    if watch.against == "training":
        return watch.against, watched.sketch, watched.dispersions
    for season, sketches in before:
        enough = [sketch for sketch in sketches if sketch.rows >= _FEW_ROWS]
        if len(enough) >= _LEAST_BEFORE:
            return season, reduce(Sketch.merge, enough), dispersions(enough)
    return None


def history_note(windows: Sequence[DriftWindow], watch: Drift) -> str | None:
    """Return a sentence on windows that were not compared with what was asked for; ``None`` if all were."""
    alone = [window for window in windows if not window.columns]
    other = [one for one in windows if one.columns and one.against != watch.against]
    if not alone and not other:
        return None
    said = []
    if other:
        said.append(
            f"Nothing is on record of the time a year before {other[0].start:%Y-%m-%d} to {other[-1].end:%Y-%m-%d}: "
            "these windows were compared with the four weeks before each."
        )
    if alone:
        said.append(
            f"{len(alone):,} window{'s' * (len(alone) > 1)} from {alone[0].start:%Y-%m-%d} had nothing to be "
            f"compared with, neither a year before nor in the four weeks before; {_LEAST_BEFORE} windows are needed."
        )
    return " ".join(said)


def _ranked(columns: Sequence[ColumnDrift]) -> tuple[ColumnDrift, ...]:
    ordered = sorted(columns, key=lambda one: (not one.drifted, -one.effect * one.importance, one.p_value))
    return tuple(structs.replace(column, rank=rank) for rank, column in enumerate(ordered, start=1))


def drift_findings(
    windows: Sequence[DriftWindow], answers: Sequence[str], model: str, *, excused: Sequence[str]
) -> list[Finding]:
    """Return the columns that moved in the newest window.

    Args:
        windows: Oldest first.
        answers: The columns that hold the version's answers.
        excused: Columns of which something graver is said.
    """
    if not windows:
        return []
    newest = windows[-1]
    found = []
    for column in newest.columns:
        if not column.drifted or column.column in excused:
            continue
        since = newest.start
        for window in reversed(windows):
            if column.column not in window.drifted:
                break
            since = window.start
        is_answer = column.column in answers
        matters = column.importance >= _NOTICEABLE and column.effect >= _NOTICEABLE
        severity: Severity = "warning" if matters else "info"
        what = "The distribution of the predictions" if is_answer else column.column
        found.append(
            Finding(
                kind="prediction_drift" if is_answer else "drift",
                model=model,
                subject=column.column,
                severity=severity,
                sentence=f"{what} has moved since {since:%Y-%m-%d}, by about {column.effect:.2f} standard deviations"
                f"{_direction(column)}{_BESIDE[newest.against]}{_use(column, is_answer)}",
                numbers={
                    "effect": column.effect,
                    "psi": column.psi,
                    "p_value": column.p_value,
                    "importance": column.importance,
                    "missing_share": column.missing_share,
                    "rows": column.rows,
                },
                since=since,
            )
        )
    return found


def _direction(each: ColumnDrift) -> str:
    if each.mean_change is None or abs(each.mean_change) < 0.05:
        return ""
    return ", upwards" if each.mean_change > 0 else ", downwards"


def _use(each: ColumnDrift, is_answer: bool) -> str:
    if is_answer:
        return ". Only labels show whether that is right."
    if each.importance < _NOTICEABLE:
        return "; the model hardly uses it."
    return f"; it has {each.importance:.0%} of the weight of the most important feature."


def distribution(column: str, before: ColumnSketch, after: ColumnSketch) -> Distribution:
    """Return a column's shares before and after, over coarse bins or the most frequent categories."""
    counts = [np.append(window.coarse(), window.missing).astype(np.float64) for window in (before, after)]
    labels = _labels(before)
    if len(labels) > _CELLS_SHOWN:
        keep = _CELLS_SHOWN - 2
        counts = [np.concatenate([one[:keep], [one[keep:-1].sum()], one[-1:]]) for one in counts]
        labels = [*labels[:keep], "all others", labels[-1]]
    shares = [tuple((count / max(count.sum(), 1.0)).tolist()) for count in counts]
    return Distribution(column=column, labels=tuple(labels), before=shares[0], after=shares[1])


def _labels(sketch: ColumnSketch) -> list[str]:
    form = sketch.form
    if not isinstance(form, Bins):
        return [*map(str, form.values), "rare", "unseen", "missing"]
    ends = [form.edges[start - 1] for start in form.coarse[1:]]
    if not ends:
        return ["all", "missing"]
    between = [f"{low:.4g} – {high:.4g}" for low, high in pairwise(ends)]
    return [f"≤ {ends[0]:.4g}", *between, f"> {ends[-1]:.4g}", "missing"]
