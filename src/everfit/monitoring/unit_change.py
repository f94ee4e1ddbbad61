"""Changes of a column's unit, scale or sign: a sudden jump that one factor and offset explain.

Drift compares with all that a version was trained on, where a temperature times 0.3 is an ordinary winter's. No winter
begins overnight: the windows after a jump are compared with those right before it, and the difference with those
between successive windows of the reference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from everfit.core.columns import TIME
from everfit.core.finding import Finding
from everfit.measures.weighting import Floats
from everfit.monitoring.column_levels import SPANS, TESTED, UsualLevels, jumps
from everfit.monitoring.drift_windows import Counted, windows_joined
from everfit.monitoring.reference import ReferenceProfile

_KNOWN = (
    (1.8, 32.0, "°C to °F"),
    (1 / 1.8, -32 / 1.8, "°F to °C"),
    (1.0, 273.15, "°C to K"),
    (1.0, -273.15, "K to °C"),
    (-1.0, 0.0, "the sign"),
)
_ADJOINING = timedelta(days=7)
"""Labelled rows are older than this where labels come late, and are no fair sample of the newest ones then."""
_LEAST_RATIO = 0.4
"""Of a factor, in natural logarithms, as for a jump."""
_LEFT = 0.15
"""Most of a jump, as a sum of squares, that a conversion may leave; chosen: other jumps leave a third and more."""
_PER_PARAMETER = 0.3
"""Of the same sum, what an estimated parameter must save to be worth it; chosen on three real data sets."""


@dataclass(frozen=True, kw_only=True)
class UnitChange:
    """Jump of a column that is still there: values are ``factor`` times what they were, plus ``offset``."""

    column: str
    factor: float
    offset: float
    meaning: str
    """The conversion, if it is a common one."""
    since: datetime
    before: float
    """Median of the windows before."""
    after: float


def unit_changes_of(windows: Sequence[Counted], reference: ReferenceProfile, *, alpha: float) -> tuple[UnitChange, ...]:
    """Return the unit changes that are still there in the newest of a version's windows, which come oldest first.

    Only columns that have values enough are judged; ``alpha`` is the level of a year without any change.
    """
    watched = reference.inputs
    if not windows or not watched.measured or isinstance(reference.window, int):
        return ()
    level = reference.window_level(alpha) / reference.tests
    usual = watched.usual(windows_joined(windows[-1], reference), level)
    held = np.array([[window.levels[name] for name in watched.measured] for window in windows])
    adjoins = windows[0].start - reference.rows[TIME][-1] <= _ADJOINING
    return unit_changes([window.start for window in windows], held, watched.measured, usual, adjoins=adjoins)


def unit_changes(
    starts: Sequence[datetime], held: Floats, names: Sequence[str], usual: UsualLevels, *, adjoins: bool
) -> tuple[UnitChange, ...]:
    """Return the changes that are still there in the newest window.

    Args:
        starts: Of the windows, oldest first.
        held: Their levels, shape ``(windows, columns, levels)``.
        names: The columns.
        usual: The reference's.
        adjoins: True if the first window follows the reference's last one, and may be compared with it.
    """
    if not usual.limits or not len(held):
        return ()
    first = len(usual.newest) if adjoins else 0
    series = np.concatenate([usual.newest, held]) if adjoins else held
    jumped = [np.abs(jumps(series, span))[..., :TESTED] > usual.limits[span][:, :TESTED] for span in SPANS]
    found = []
    for place, name in enumerate(names):
        if any(marks[:, place].any() for marks in jumped):
            limits = {span: usual.limits[span][place] for span in SPANS}
            change = _present_change(series[:, place], limits, first)
            if change is not None:
                begin, explained = change
                since = starts[begin - first]
                found.append(_described(name, since, explained, series[:, place], begin, limits[max(SPANS)]))
    return tuple(found)


@dataclass(frozen=True)
class _Conversion:
    factor: float
    offset: float
    meaning: str = ""
    parameters: int = 0
    """That were estimated."""

    def undo(self, level: Floats) -> Floats:
        """Return three levels as they were before they were converted."""
        return np.sort((level - self.offset) / self.factor)


def _present_change(series: Floats, limits: dict[int, Floats], first: int) -> tuple[int, _Conversion] | None:
    """Return the window in which the last change of a column began, unless it was undone.

    Once a change was found, what follows is judged as it would be without it, so that usual differences are not larger
    by its factor.
    """
    present: tuple[int, _Conversion] | None = None
    judged, marks = series, _marks(series, limits)
    since, longest = 0, max(SPANS)
    for end in range(first, len(series)):
        for span in SPANS:
            begin = end - span + 1
            # What is before a jump must lie after the jump before.
            if begin - span < since or begin < first or not marks[span][begin - span]:
                continue
            explained = _explain(*_around(judged, begin, span, end + 1), limits[span])
            if explained is None:
                continue
            undone = present is not None and _undoes(present[1], explained)
            explained = explained if undone else _explain(*_around(series, begin, span, end + 1), limits[span])
            present, since = None if undone or explained is None else (begin, explained), begin
            judged = (
                series if present is None else np.concatenate([series[:begin], _undone(series[begin:], present[1])])
            )
            marks = _marks(judged, limits)
            break
        if present is not None and end >= present[0] + longest:
            clean = np.median(series[max(0, present[0] - longest) : present[0]], axis=0)
            if _is_as_before(
                clean, np.median(series[end - longest + 1 : end + 1], axis=0), present[1], limits[longest]
            ):
                present, since, judged = None, end - longest + 1, series
                marks = _marks(judged, limits)
    return present


def _marks(series: Floats, limits: dict[int, Floats]) -> dict[int, NDArray[np.bool_]]:
    """Return for each span which windows may begin an unusual jump."""
    found = {span: np.abs(jumps(series, span)) > limit for span, limit in limits.items()}
    return {span: np.asarray(far[:, :TESTED].any(axis=1)) for span, far in found.items()}


def _undone(series: Floats, conversion: _Conversion) -> Floats:
    """Return the levels of windows as they would be without a conversion."""
    found = np.array(series)
    for part in (slice(0, 3), slice(TESTED, TESTED + 3)):
        found[:, part] = np.sort((series[:, part] - conversion.offset) / conversion.factor, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.column_stack([found[:, 2] - found[:, 0], found[:, 1], found[:, 2]]))
    found[:, 3:TESTED] = np.where(np.isfinite(logs), logs, np.nan)
    return found


def _around(series: Floats, begin: int, span: int, end: int) -> tuple[Floats, Floats]:
    """Return the medians of the windows before and after a jump."""
    before, after = series[max(0, begin - span) : begin], series[begin : min(begin + span, end)]
    return np.median(before, axis=0), np.median(after, axis=0)


def _undoes(one: _Conversion, other: _Conversion) -> bool:
    product = one.factor * other.factor
    return product > 0 and abs(math.log(product)) < _LEAST_RATIO


def _is_as_before(before: Floats, now: Floats, conversion: _Conversion, limits: Floats) -> bool:
    """Return true if values are usual as they are, and less so after the conversion was undone."""
    gaps, undone = _gaps(before, now, limits), _gaps(before[:3], conversion.undo(now[:3]), limits[:3])
    plain = _gaps(before[:3], now[:3], limits[:3])
    return bool(len(gaps) and gaps.max() <= 1.0 and (plain**2).sum() < (undone**2).sum())


def _explain(before: Floats, after: Floats, limits: Floats) -> _Conversion | None:
    """Return the conversion whose undoing leaves least of a jump; ``None`` if all leave too much of it."""
    found: list[tuple[float, _Conversion]] = []
    for part in (slice(0, 3), slice(TESTED, TESTED + 3)):
        jump = _gaps(_with_spread(before[part]), _with_spread(after[part]), _with_limit(limits, part))
        for conversion in _conversions(before[part], after[part]):
            undone = _with_spread(conversion.undo(after[part]))
            left = _gaps(_with_spread(before[part]), undone, _with_limit(limits, part))
            if len(left) and left.max() <= 1.0 and (left**2).sum() <= _LEFT * (jump**2).sum():
                found.append((float((left**2).sum()) + _PER_PARAMETER * conversion.parameters, conversion))
    return min(found, key=lambda one: one[0])[1] if found else None


def _with_spread(level: Floats) -> Floats:
    """Return three levels with the logarithms of their distance, and of the two greater ones."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log([level[2] - level[0], level[1], level[2]])
    return np.append(level, np.where(np.isfinite(logs), logs, np.nan))


def _with_limit(limits: Floats, part: slice) -> Floats:
    return np.append(limits[part], limits[3:TESTED])


def _gaps(before: Floats, after: Floats, limits: Floats) -> Floats:
    gaps: Floats = np.abs(after - before) / limits
    return gaps[np.isfinite(gaps)]


def _conversions(before: Floats, after: Floats) -> Iterator[_Conversion]:
    """Yield common conversions, then a factor alone, then a factor and an offset."""
    yield from (_Conversion(*known) for known in _KNOWN)
    spread = float(before[2] - before[0])
    ratio = float(after[2] - after[0]) / spread if spread > 1e-9 * np.abs(before).max() else math.nan
    scale = float(after[1] / before[1]) if before[1] else math.nan
    if scale > 0 and abs(math.log(scale)) >= _LEAST_RATIO:
        yield _Conversion(scale, 0.0, parameters=1)
    if ratio > 0 and abs(math.log(ratio)) >= _LEAST_RATIO:
        yield _Conversion(ratio, float(after[1] - ratio * before[1]), parameters=2)


def _described(
    name: str, since: datetime, explained: _Conversion, series: Floats, begin: int, limits: Floats
) -> UnitChange:
    """Describe a change by as many of the windows around it as there are by now."""
    before, after = _around(series, begin, max(SPANS), len(series))
    explained = _explain(before, after, limits) or explained
    return UnitChange(
        column=name,
        factor=explained.factor,
        offset=explained.offset,
        meaning=explained.meaning,
        since=since,
        before=float(before[1]),
        after=float(after[1]),
    )


def unit_findings(changes: Sequence[UnitChange], model: str) -> list[Finding]:
    """Return a finding for each change."""
    return [
        Finding(
            kind="unit_change",
            model=model,
            subject=change.column,
            severity="warning",
            sentence=f"{change.column} seems to have another unit or scale since {change.since:%Y-%m-%d}: its "
            f"values are about what they were {_conversion_text(change)}; the median was {change.before:.4g} and "
            f"became {change.after:.4g}.",
            numbers={"factor": change.factor, "offset": change.offset, "before": change.before, "after": change.after},
            since=change.since,
        )
        for change in changes
    ]


def _conversion_text(change: UnitChange) -> str:
    text = f"times {change.factor:.3g}"
    if change.offset:
        text += f" {'plus' if change.offset > 0 else 'minus'} {abs(change.offset):.3g}"
    return f"{text} ({change.meaning})" if change.meaning else text
