"""Label quality: a feed that stopped, a cohort without labels, repeated and contradicting reports."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.duration import format_roughly
from everfit.core.finding import Finding, FindingKind, Severity
from everfit.measures.weighting import Floats
from everfit.monitoring.prediction_frame import by_time

LEAST_EXPECTED = 30.0
"""Fewer outcomes than this that fail to come may be chance."""
_FORGOTTEN = 0.3
_WORTH_A_LOOK = 0.01
_MUCH = 0.05


def label_findings(
    rows: pl.DataFrame, delays_s: Floats, model: str, *, as_of: datetime, window: timedelta
) -> list[Finding]:
    """Return problems of the label feed, by rows with the labels known at ``as_of``.

    Args:
        delays_s: How long outcomes used to take, seconds, in ascending order.
        window: No outcome in so long, though many were due, is a stop.
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
        known = cohort[LABEL].is_not_null().mean()
        share = float(known) if isinstance(known, float) else 0.0
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
