"""Start of the newest part of a history, on which a model is scored: the hold-out, or the validation before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from everfit.core.duration import format_duration
from everfit.definitions.training_window import LEAST_LABELS, TrainingWindow

LEAST_SPAN = timedelta(days=14)
"""Every weekday twice, and more daily windows than the nine from which monitoring measures how days differ."""
LEAST_ROWS = 500
"""The standard error of a share of one half is then 2.2 points. Measured on a day's 24 rows (bikes): 1,000 rows are six
weeks, of which a champion that is a month old has learnt a part; 500 are three weeks."""
LEAST_MINORITY = 100
"""A rare class has so many labels: the standard error of its rate is a tenth of it; chosen."""
_LEAST_SINCE = 250
"""Labelled rows since a change, of which 150 are left to learn from; chosen."""
_MATURE = "up to the newest mature label"


@dataclass(frozen=True, kw_only=True)
class PartStart:
    """The first event time of a part, and the rule that it follows from."""

    instant: datetime
    rule: str
    """The size of the part in words, as in "The hold-out is …"."""


def part_start(
    times: pl.Series, labels: pl.Series, *, mature_until: datetime, window: TrainingWindow | None, share: float
) -> PartStart:
    """Return where the newest part of labelled rows begins, so that it is sufficient for judgement and no larger.

    It is counted back from the newest mature label; younger rows belong to it, too, since labels that come early are
    no basis of a judgement by themselves. Without a ``window`` it has :data:`LEAST_SPAN`, :data:`LEAST_ROWS` labels and
    :data:`LEAST_MINORITY` labels other than the most frequent one. It is never larger than ``share``, which is the size
    where history is short, or where no label is mature.

    Args:
        times: Event times, ascending; at least one.
        labels: Their labels; none is null.
        mature_until: Last event time of which nearly all labels are known.
        window: Size that the project file states; of a duration at least 200 rows are taken.
        share: Largest share of the rows, in (0, 1).
    """
    rows = len(times)
    bound: datetime = times[min(int(rows * (1 - share)), rows - 1)]
    mature = int(times.search_sorted(mature_until, side="right"))
    largest = f"the newest {share * 100:.3g} % of the labelled rows"
    if not mature:
        return PartStart(instant=bound, rule=f"{largest}, none of which is mature")
    times, labels = times.head(mature), labels.head(mature)
    place, rule = min(_stated(window, times) if window else _sufficient(times, labels), key=lambda found: found[0])
    if times[place] > bound:
        return PartStart(instant=times[place], rule=f"{rule} {_MATURE}")
    if window is not None and times[place] < bound:
        largest += f", the most that [training] allows of {window}"
    return PartStart(instant=bound, rule=largest)


def after_change(part: PartStart, times: pl.Series, changed_at: datetime | None, *, share: float) -> PartStart:
    """Return the start of a part such that rows since a change of the world are left to learn from.

    A candidate that is judged on all of them has learnt from none of them. Where fewer would be left before the part
    than are in it, it is a share of them, and :data:`LEAST_MINORITY` rows at least. From too few rows nothing can be
    learnt: then the part stays.

    Args:
        times: Event times of the labelled rows, ascending.
        changed_at: Event time since which the world is another one; ``None`` if it is not known to have changed.
        share: Share of the rows since then, in (0, 1).
    """
    if changed_at is None:
        return part
    first, place = (int(times.search_sorted(instant, side="left")) for instant in (changed_at, part.instant))
    since = len(times) - first
    size = max(round(since * share), LEAST_MINORITY)
    if place - first >= len(times) - place or since < _LEAST_SINCE:
        return part
    rule = f"the newest {size:,} of the {since:,} labelled rows since the change on {changed_at:%Y-%m-%d}"
    return PartStart(instant=times[len(times) - size], rule=rule)


def _stated(window: TrainingWindow, times: pl.Series) -> list[tuple[int, str]]:
    """Return the first place of the part by the stated size, and by the least number of rows."""
    if window.span is None:
        return [_newest(window.rows or 0, times)]
    return [_last(window.span, times), _newest(LEAST_LABELS, times)]


def _sufficient(times: pl.Series, labels: pl.Series) -> list[tuple[int, str]]:
    """Return the first place of the part by each requirement of the default."""
    # Polars returns labels that are as frequent in any order; the smallest, so that trainings repeat.
    others = (labels != labels.mode().sort()[0]).arg_true()
    minority = int(others[-LEAST_MINORITY]) if len(others) >= LEAST_MINORITY else 0
    rule = f"the newest rows with {LEAST_MINORITY} labels other than the most frequent one"
    return [_last(LEAST_SPAN, times), _newest(LEAST_ROWS, times), (minority, rule)]


def _last(span: timedelta, times: pl.Series) -> tuple[int, str]:
    return int(times.search_sorted(times[-1] - span, side="right")), f"the last {format_duration(span)}"


def _newest(rows: int, times: pl.Series) -> tuple[int, str]:
    return max(0, len(times) - rows), f"the newest {rows:,} labelled rows"
