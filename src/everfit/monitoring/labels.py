"""Label quality: a feed that stopped, a cohort without labels, repeated and contradicting reports."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.duration import format_roughly
from everfit.core.finding import Finding
from everfit.measures.weighting import Floats

LEAST_EXPECTED = 30.0
"""Fewer outcomes than this that fail to come may be chance."""
_FORGOTTEN = 0.3
_WORTH_A_LOOK = 0.01
_MUCH = 0.05


def label_findings(
    rows: pl.DataFrame, delays_s: Floats, model: str, *, as_of: datetime, window: timedelta
) -> list[Finding]:
    """Return problems of the label feed.

    Args:
        rows: Predictions in the form of :mod:`everfit.monitoring.prediction_frame`, with what was known at ``as_of``.
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
    due = _come_by(waiting, delays_s, as_of) - _come_by(waiting, delays_s, since)
    expected = float(due.sum())
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
    for start, cohort in _months(rows):
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


def _months(rows: pl.DataFrame) -> list[tuple[datetime, pl.DataFrame]]:
    # A request without an event time belongs to no month.
    dated = rows.filter(pl.col(TIME).is_not_null())
    parts = dated.with_columns(pl.col(TIME).dt.truncate("1mo").alias("__month")).partition_by("__month")
    return sorted(((part["__month"][0], part) for part in parts), key=lambda one: one[0])


def _come_by(rows: pl.DataFrame, delays_s: Floats, instant: datetime) -> NDArray[np.float64]:
    """Return the chance that each row's label was known by an instant, from earlier delays."""
    ages = rows.select((pl.lit(instant) - pl.col(TIME)).dt.total_microseconds() / 1e6).to_series().to_numpy()
    chances: NDArray[np.float64] = np.searchsorted(delays_s, ages, side="right") / len(delays_s)
    return chances


def report_findings(outcomes: pl.DataFrame, model: str) -> list[Finding]:
    """Return findings on labels that were reported more than once, alike or in contradiction.

    Args:
        outcomes: Reports or labels: ``id`` and ``value``, one row each; a null value takes back.
    """
    given = outcomes.filter(pl.col("value").is_not_null())
    if given.height < LEAST_EXPECTED or given["id"].n_unique() == given.height:
        return []
    by_id = given.group_by("id").agg(pl.len().alias("reports"), pl.col("value").n_unique().alias("values"))
    ids = by_id.height
    again = by_id.filter((pl.col("reports") > 1) & (pl.col("values") == 1)).height
    against = by_id.filter(pl.col("values") > 1).height
    found = []
    if again / ids >= _WORTH_A_LOOK:
        found.append(
            Finding(
                kind="duplicate_labels",
                model=model,
                severity="info",
                sentence=f"The outcomes of {again:,} of {ids:,} predictions ({again / ids:.0%}) were reported more "
                "than once, alike each time; each counts once.",
                numbers={"ids": ids, "doubled": again},
            )
        )
    if against / ids >= _MUCH:
        found.append(
            Finding(
                kind="contradicting_labels",
                model=model,
                severity="warning",
                sentence=f"The outcomes of {against:,} of {ids:,} predictions ({against / ids:.0%}) were changed after "
                "they had been reported; the last report counts.",
                numbers={"ids": ids, "changed": against},
            )
        )
    return found
