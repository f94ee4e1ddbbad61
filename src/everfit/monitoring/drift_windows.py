"""Drift, window by window."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, reduce
from itertools import pairwise, takewhile

import numpy as np
import polars as pl
from msgspec import Struct

from everfit.core.columns import TIME
from everfit.core.finding import Finding
from everfit.definitions.watch import Drift, Season
from everfit.measures.bins import Bins
from everfit.measures.overdispersion import Dispersion
from everfit.measures.sketch import ColumnSketch, Sketch
from everfit.measures.weighting import Floats
from everfit.monitoring.calendar_columns import WEEK
from everfit.monitoring.column_levels import levels
from everfit.monitoring.drift import ColumnDrift, dispersions, drift, ranked
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile, Watched
from everfit.monitoring.windows import WINDOW, Length, Window, complete_windows, joined_where_thin, placed

_YEAR = timedelta(days=365)
_TRAILING = timedelta(days=28)
_LEAST_BEFORE = 7
"""Windows that must lie before one that is compared with them."""
_FEW_ROWS = 10
"""A window of the thinned rows that a version was made from may be small, but not that small."""
_MOST_WINDOWS = 400
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
class Counted(Window):
    """A window with its rows counted in a reference's layouts."""

    inputs: Sketch
    answers: Sketch

    @cached_property
    def levels(self) -> Mapping[str, Floats]:
        """The levels of its numeric features: see :func:`everfit.monitoring.column_levels.levels`."""
        names = self.inputs.layout.numeric
        return dict(zip(names, levels(self.inputs, names), strict=True))

    def add(self, rows: pl.DataFrame, reference: ReferenceProfile) -> Counted:
        """Return the window with more of its rows counted."""
        inputs, answers = reference.inputs.count(rows), reference.answers.count(rows)
        return replace(self, inputs=self.inputs.merge(inputs), answers=self.answers.merge(answers))


Judged = dict[tuple[object, ...], DriftWindow]
"""Earlier results of :func:`drift_windows`, by what they depend on."""


def newest_windows(
    rows: pl.DataFrame, length: Length, *, until: datetime, settled: pl.DataFrame | None = None
) -> list[list[Window]]:
    """Return the newest complete windows, oldest first, in groups that :func:`join` makes one window of.

    A group is one window, or several where they are thin. Arguments are those of :func:`complete_windows`.
    """
    groups = joined_where_thin(complete_windows(rows, length, until=until, settled=settled))
    taken = [len(group) for group in groups]
    while sum(taken) > _MOST_WINDOWS and len(taken) > 1:
        del taken[0]
    return groups[-len(taken) :] if taken else []


def join(windows: Sequence[Counted]) -> Counted:
    """Return successive windows as one; its number is that of the first."""
    first, *others = windows
    for window in others:
        inputs, answers = first.inputs.merge(window.inputs), first.answers.merge(window.answers)
        rows, mark = first.rows + window.rows, first.mark + window.mark
        first = replace(first, end=window.end, rows=rows, mark=mark, inputs=inputs, answers=answers)
    return first


def windows_joined(window: Window, reference: ReferenceProfile) -> int:
    """Return the number of windows of the reference's length that a window spans."""
    length = reference.window
    return 1 if isinstance(length, int) else max(1, round((window.end - window.start) / length))


def count(window: Window, rows: pl.DataFrame, reference: ReferenceProfile) -> Counted:
    """Count one window's rows."""
    return Counted(**vars(window), inputs=reference.inputs.count(rows), answers=reference.answers.count(rows))


def drift_windows(
    windows: Sequence[Counted],
    reference: ReferenceProfile,
    watch: Drift,
    *,
    judged: Judged,
    since: datetime | None = None,
) -> tuple[DriftWindow, ...]:
    """Compare every window that ends after an instant, oldest first, with the reference, or with the weeks before it.

    What was found before for this reference is looked up in ``judged`` by the windows' marks; what is found is added,
    and what no longer occurs is dropped.
    """
    known = judged.copy()
    judged.clear()
    history = _ComparisonWindows(windows, reference, watch.against)
    for place, window in enumerate(windows):
        if since is not None and window.end <= since:
            continue
        week = _week_until(windows, place)
        marks = (one.mark for part in (week, *(before for _, before in history.served(place))) for one in part)
        key = (watch, window.start, window.mark, *marks)
        judged[key] = known.get(key) or _judge(window, week, history.before(place), reference, watch)
    return tuple(judged.values())


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
        reference, rows = self.reference, placed(self.reference.rows, self.reference.window)
        parts = rows.partition_by(WINDOW, as_dict=True)
        return tuple(
            replace(count(window, part, reference), answers=reference.answers.count(part.filter(HELD_OUT)))
            for window in complete_windows(rows, reference.window, until=reference.rows[TIME][-1])
            for part in [parts[(window.number,)]]
        )


def _about(windows: Sequence[Counted], moment: datetime) -> list[Counted]:
    """Return the windows of the four weeks around an instant."""
    return [window for window in windows if abs(window.start - moment) <= _TRAILING / 2]


def _week_until(windows: Sequence[Counted], place: int) -> Sequence[Counted]:
    """Return the windows of the week that ends with one; none if they do not reach back so far."""
    since = windows[place].end - WEEK
    first = next((begin for begin in range(place, -1, -1) if windows[begin].start <= since), None)
    return () if first is None else windows[first : place + 1]


def _judge(
    window: Counted, week: Sequence[Counted], before: Before, reference: ReferenceProfile, watch: Drift
) -> DriftWindow:
    """Compare a window's columns; those that the clock determines in the week that ends with it, if there is one."""
    answers = [(season, [one.answers for one in windows]) for season, windows in before]
    inputs = [(season, [one.inputs for one in windows]) for season, windows in before]
    weekly, joined = reference.inputs.weekly, windows_joined(window, reference)
    found = [
        (
            _compare(
                reference, reference.answers, window.answers, _base(reference.answers, answers, watch, joined), watch
            )
        ),
        (_compare(reference, reference.inputs, window.inputs, _base(reference.inputs, inputs, watch, joined), watch)),
    ]
    columns = [column for part in found if part for column in part[1] if column.column not in weekly]
    if weekly and week:
        joined = sum(windows_joined(part, reference) for part in week)
        base = _base(reference.inputs, inputs, watch, joined)
        whole = _compare(reference, reference.inputs, join(week).inputs, base, watch)
        columns += [column for column in whole[1] if column.column in weekly] if whole else []
    against = next((part[0] for part in reversed(found) if part), watch.against)
    return DriftWindow(
        start=window.start, end=window.end, rows=window.inputs.rows, columns=ranked(columns), against=against
    )


_Base = tuple[Season, Sketch, Mapping[str, Dispersion] | None]


def _compare(
    reference: ReferenceProfile, watched: Watched, sketch: Sketch, base: _Base | None, watch: Drift
) -> tuple[Season, tuple[ColumnDrift, ...]] | None:
    """Compare all columns of a sketch; ``None`` without any, or without anything to compare with."""
    if base is None or not watched.layout.columns:
        return None
    season, against, spread = base
    level = reference.window_level(watch.alpha) * len(watched.layout.columns) / reference.tests
    importance = reference.importance if watched is reference.inputs else {}
    found = drift(against, sketch, importance=importance, alpha=level, worthwhile=watch.effect, dispersions=spread)
    return season, found


def _base(
    watched: Watched, before: Sequence[tuple[Season, Sequence[Sketch]]], watch: Drift, joined: int
) -> _Base | None:
    """Return the merged comparison windows with their overdispersion; ``None`` if there are too few rows.

    The window to be judged is ``joined`` of so many.
    """
    if watch.against == "training":
        return watch.against, watched.sketch, watched.dispersions(joined)
    for season, sketches in before:
        enough = [sketch for sketch in sketches if sketch.rows >= _FEW_ROWS]
        if len(enough) >= _LEAST_BEFORE:
            return season, reduce(Sketch.merge, enough), dispersions(enough)
    return None


def history_note(windows: Sequence[DriftWindow], watch: Drift) -> str | None:
    """Return a sentence on windows that were not compared with what was asked for; ``None`` if all were."""
    alone = [window for window in windows if not window.columns]
    other = [window for window in windows if window.columns and window.against != watch.against]
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
    return " ".join(said) or None


def drift_findings(
    windows: Sequence[DriftWindow], answers: Collection[str], model: str, *, excused: Sequence[str]
) -> list[Finding]:
    """Return the columns that moved in the newest window, the version's answers among them.

    Windows come oldest first. Of columns that are excused something graver is said.
    """
    return [
        _drift_finding(column, windows, model, is_answer=column.column in answers)
        for column in (windows[-1].columns if windows else ())
        if column.drifted and column.column not in excused
    ]


def _drift_finding(column: ColumnDrift, windows: Sequence[DriftWindow], model: str, *, is_answer: bool) -> Finding:
    *_, first = takewhile(lambda window: column.column in window.drifted, reversed(windows))
    matters = column.importance >= _NOTICEABLE and column.effect >= _NOTICEABLE
    what = "The distribution of the predictions" if is_answer else column.column
    return Finding(
        kind="prediction_drift" if is_answer else "drift",
        model=model,
        subject=column.column,
        severity="warning" if matters else "info",
        sentence=f"{what} has moved since {first.start:%Y-%m-%d}, by about {column.effect:.2f} standard deviations"
        f"{_direction(column)}{_BESIDE[windows[-1].against]}{_use(column, is_answer)}",
        numbers={
            "effect": column.effect,
            "psi": column.psi,
            "p_value": column.p_value,
            "importance": column.importance,
            "missing_share": column.missing_share,
            "rows": column.rows,
        },
        since=first.start,
    )


def _direction(column: ColumnDrift) -> str:
    if column.mean_change is None or abs(column.mean_change) < 0.05:
        return ""
    return ", upwards" if column.mean_change > 0 else ", downwards"


def _use(column: ColumnDrift, is_answer: bool) -> str:
    if is_answer:
        return ". Only labels show whether that is right."
    if column.importance < _NOTICEABLE:
        return "; the model hardly uses it."
    return f"; it has {column.importance:.0%} of the weight of the most important feature."


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
