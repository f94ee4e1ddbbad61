"""Label quality: a feed that stopped, a cohort without labels, repeated and contradicting reports, new classes."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.class_names import quoted
from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.duration import format_roughly
from everfit.core.finding import Finding, FindingKind, Severity
from everfit.measures.weighting import Floats
from everfit.monitoring.performance import Scale
from everfit.monitoring.prediction_frame import NEW_CLASS, by_time

LEAST_EXPECTED = 30.0
"""Fewer outcomes than this that fail to come may be chance."""
_FORGOTTEN = 0.3
_WORTH_A_LOOK = 0.01
_MUCH = 0.05
"""Share of outcomes that the version can never get right which does harm rather than wants a look; chosen."""
_SHOWN = 5
_LONGEST = 40
"""Characters of a class name in a sentence."""


def label_findings(
    rows: pl.DataFrame, delays_s: Floats, model: str, *, as_of: datetime, window: timedelta
) -> list[Finding]:
    """Return problems of the label feed, by rows with the labels known at ``as_of``.

    Earlier delays are in ascending order. No outcome in a window, though many were due, is a stop.
    """
    if rows.is_empty() or not len(delays_s):
        return []
    stopped = _stopped(rows, delays_s, model, as_of=as_of, window=window)
    if stopped is None:
        return _forgotten(rows, delays_s, model, as_of=as_of)
    # What has not come since the feed stopped is the same trouble.
    since, finding = stopped
    return [finding, *_forgotten(rows.filter(pl.col(TIME) < since), delays_s, model, as_of=since)]


def _stopped(
    rows: pl.DataFrame, delays_s: Floats, model: str, *, as_of: datetime, window: timedelta
) -> tuple[datetime, Finding] | None:
    arrived = rows[KNOWN_AT].max()
    last = arrived if isinstance(arrived, datetime) else None
    if last is not None and as_of - last < window:
        return None
    since = last or rows[TIME].min()
    assert isinstance(since, datetime)
    waiting = rows.filter(pl.col(LABEL).is_null())
    expected = float((_come_by(waiting, delays_s, as_of) - _come_by(waiting, delays_s, since)).sum())
    if expected < LEAST_EXPECTED:
        return None
    never = "None has come yet" if last is None else f"The last one came {format_roughly(as_of - last)} ago"
    return since, Finding(
        kind="labels_stopped",
        model=model,
        severity="critical",
        sentence=f"Outcomes have stopped coming. {never}, though about {expected:,.0f} were due since: the model's "
        "performance is unknown.",
        numbers={"expected": expected, "silent_s": (as_of - since).total_seconds()},
        since=since,
    )


def _forgotten(rows: pl.DataFrame, delays_s: Floats, model: str, *, as_of: datetime) -> list[Finding]:
    found = []
    for start, cohort in by_time(rows, "1mo"):
        expected = float(_come_by(cohort, delays_s, as_of).mean())
        share = int(cohort[LABEL].is_not_null().sum()) / cohort.height
        if cohort.height * expected < LEAST_EXPECTED or expected - share < _FORGOTTEN:
            continue
        found.append(
            Finding(
                kind="unlabelled",
                model=model,
                subject=f"{start:%Y-%m}",
                severity="warning",
                sentence=f"Of {cohort.height:,} predictions of {start:%B %Y} the outcomes of {share:.0%} are known, "
                f"where {expected:.0%} were to be expected by now.",
                numbers={"rows": cohort.height, "share": share, "expected_share": expected},
                since=start,
            )
        )
    return found


def _come_by(rows: pl.DataFrame, delays_s: Floats, instant: datetime) -> NDArray[np.float64]:
    """Return the chance that each row's label was known by an instant, from earlier delays."""
    ages = rows.select((pl.lit(instant) - pl.col(TIME)).dt.total_microseconds() / 1e6).to_series().to_numpy()
    chances: NDArray[np.float64] = np.searchsorted(delays_s, ages, side="right") / len(delays_s)
    return chances


def report_findings(outcomes: pl.DataFrame, model: str) -> list[Finding]:
    """Return findings on labels that were reported more than once, alike or in contradiction.

    A report or label has an ``id`` and a ``value``; a null value takes back.
    """
    given = outcomes.filter(pl.col("value").is_not_null())
    if given.height < LEAST_EXPECTED or given["id"].n_unique() == given.height:
        return []
    by_id = given.group_by("id").agg(pl.len().alias("reports"), pl.col("value").n_unique().alias("values"))
    ids = by_id.height
    again = by_id.filter((pl.col("reports") > 1) & (pl.col("values") == 1)).height
    against = by_id.filter(pl.col("values") > 1).height
    once = "reported more than once, alike each time; each counts once."
    last = "changed after they had been reported; the last report counts."
    problems: tuple[tuple[FindingKind, Severity, str, int, float, str], ...] = (
        ("duplicate_labels", "info", "doubled", again, _WORTH_A_LOOK, once),
        ("contradicting_labels", "warning", "changed", against, _MUCH, last),
    )
    return [
        Finding(
            kind=kind,
            model=model,
            severity=severity,
            sentence=f"The outcomes of {count:,} of {ids:,} predictions ({count / ids:.0%}) were {what}",
            numbers={"ids": ids, name: count},
        )
        for kind, severity, name, count, least, what in problems
        if count / ids >= least
    ]


def new_class_findings(rows: pl.DataFrame, scale: Scale, model: str, version: int) -> list[Finding]:
    """Return the finding that outcomes are of classes that the version does not know; none where there are none."""
    new = rows.filter(pl.col(NEW_CLASS).is_not_null()) if NEW_CLASS in rows.columns else rows.clear()
    if new.is_empty():
        return []
    counted = new[NEW_CLASS].value_counts().sort("count", NEW_CLASS, descending=[True, False])
    labelled = int(rows[LABEL].is_not_null().sum())
    named = ", ".join(f"{_short(name)!r} on {count:,}" for name, count in counted.head(_SHOWN).iter_rows())
    more = f" and {counted.height - _SHOWN:,} more" if counted.height > _SHOWN else ""
    classes = "a class" if counted.height == 1 else f"{counted.height:,} classes"
    share = new.height / labelled
    remedy = (
        "A binary model cannot learn a third class: correct these outcomes, or change the label's definition."
        if scale.task == "binary"
        else "The next training learns them; if they are mistakes, report these outcomes again."
    )
    return [
        Finding(
            kind="new_class",
            model=model,
            version=version,
            severity="critical" if share >= _MUCH else "warning",
            sentence=f"{new.height:,} of {labelled:,} outcomes ({share:.1%}) are of {classes} that "
            f"version {version} did not learn: {named}{more} outcomes. It knows {quoted(scale.classes, most=_SHOWN)}, "
            f"so that these count as the worst possible. {remedy}",
            numbers={"rows": new.height, "labelled": labelled, "share": share, "classes": counted.height},
            since=new[TIME].min(),  # type: ignore[arg-type]
        )
    ]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
