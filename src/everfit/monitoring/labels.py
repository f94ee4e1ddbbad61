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
from everfit.measures.delays import Delay
from everfit.measures.weighting import Floats
from everfit.monitoring.performance import Scale
from everfit.monitoring.prediction_frame import NEW_CLASS, by_time
from everfit.monitoring.settled import NOTHING_SETTLED, ReportCounts, Settled
from everfit.store.timestamps import instant_literal

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
    rows: pl.DataFrame,
    delays_s: Floats,
    model: str,
    *,
    as_of: datetime,
    window: timedelta,
    settled: Settled = NOTHING_SETTLED,
) -> list[Finding]:
    """Return problems of the label feed, by rows with the labels known at ``as_of``, and those that are settled.

    Earlier delays are in ascending order. No outcome in a window, though many were due, is a stop.
    """
    if rows.is_empty() or not len(delays_s):
        return []
    stopped = _stopped(rows, delays_s, model, as_of=as_of, window=window, last_known=settled.last_known)
    counts = rows.select(TIME, rows=pl.lit(1, pl.Int64), labelled=pl.col(LABEL).is_not_null().cast(pl.Int64))
    counts = pl.concat([settled.hours, counts])
    if stopped is None:
        return _forgotten(counts, delays_s, model, as_of=as_of)
    # What has not come since the feed stopped is the same trouble.
    since, finding = stopped
    return [finding, *_forgotten(counts.filter(pl.col(TIME) < since), delays_s, model, as_of=since)]


def _stopped(
    rows: pl.DataFrame,
    delays_s: Floats,
    model: str,
    *,
    as_of: datetime,
    window: timedelta,
    last_known: datetime | None,
) -> tuple[datetime, Finding] | None:
    arrived = [time for time in (rows[KNOWN_AT].max(), last_known) if isinstance(time, datetime)]
    last = max(arrived, default=None)
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


def _forgotten(counts: pl.DataFrame, delays_s: Floats, model: str, *, as_of: datetime) -> list[Finding]:
    """Return findings on months, by numbers of rows and of labelled ones."""
    found = []
    for start, cohort in by_time(counts, "1mo"):
        rows = int(cohort["rows"].sum())
        expected = float((_come_by(cohort, delays_s, as_of) * cohort["rows"].to_numpy()).sum()) / rows
        share = int(cohort["labelled"].sum()) / rows
        if rows * expected < LEAST_EXPECTED or expected - share < _FORGOTTEN:
            continue
        found.append(
            Finding(
                kind="unlabelled",
                model=model,
                subject=f"{start:%Y-%m}",
                severity="warning",
                sentence=f"Of {rows:,} predictions of {start:%B %Y} the outcomes of {share:.0%} are known, "
                f"where {expected:.0%} were to be expected by now.",
                numbers={"rows": rows, "share": share, "expected_share": expected},
                since=start,
            )
        )
    return found


def _come_by(rows: pl.DataFrame, delays_s: Floats, instant: datetime) -> NDArray[np.float64]:
    """Return the chance that each row's label was known by an instant, from earlier delays."""
    ages = rows.select((pl.lit(instant) - pl.col(TIME)).dt.total_microseconds() / 1e6).to_series().to_numpy()
    chances: NDArray[np.float64] = np.searchsorted(delays_s, ages, side="right") / len(delays_s)
    return chances


def label_delay_findings(
    delay: Delay, expected: timedelta, model: str, version: int, *, since: datetime | None
) -> list[Finding]:
    """Return the finding that outcomes come much later, or much sooner, than the design record expects."""
    if delay.p90_s is None or not delay.differs_from(expected):
        return []
    measured = timedelta(seconds=delay.p90_s)
    later = measured > expected
    meaning = (
        "performance is known, and a worse version is noticed, later than planned"
        if later
        else "the record can be corrected"
    )
    return [
        Finding(
            kind="label_delay",
            model=model,
            version=version,
            severity="warning" if later else "info",
            sentence=f"Nine of ten outcomes are known after {format_roughly(measured)}, where the design record "
            f"expects {format_roughly(expected)}: {meaning}.",
            numbers={
                "expected_s": expected.total_seconds(),
                "measured_s": delay.p90_s,
                "outcomes": delay.labelled,
            },
            since=since,
        )
    ]


def count_reports(outcomes: pl.DataFrame | None) -> ReportCounts:
    """Count the predictions whose label was reported, and reported more than once.

    A report or label has an ``id`` and a ``value``; a null value takes back. ``None`` is none that could be repeated.
    """
    if outcomes is None:
        return ReportCounts()
    given = outcomes.filter(pl.col("value").is_not_null())
    repeated = given.filter(pl.col("id").is_duplicated())
    by_id = repeated.group_by("id").agg(pl.col("value").n_unique().alias("values"))
    again = by_id.filter(pl.col("values") == 1).height
    ids = given.height - repeated.height + by_id.height
    return ReportCounts(ids=ids, again=again, against=by_id.height - again)


def report_findings(reports: ReportCounts, model: str) -> list[Finding]:
    """Return findings on labels that were reported more than once, alike or in contradiction."""
    ids, again, against = reports.ids, reports.again, reports.against
    if not again + against or ids < LEAST_EXPECTED:
        return []
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


def new_class_findings(
    rows: pl.DataFrame,
    scale: Scale,
    model: str,
    version: int,
    *,
    since: datetime | None = None,
    settled: Settled = NOTHING_SETTLED,
) -> list[Finding]:
    """Return the finding that outcomes are of classes that the version does not know; none where there are none.

    Predictions of earlier events are left out; of those that are settled, by whole days.
    """
    rows = rows if since is None else rows.filter(pl.col(TIME) >= instant_literal(since))
    present = rows.filter(pl.col(NEW_CLASS).is_not_null()) if NEW_CLASS in rows.columns else rows.clear()
    earlier, hours = settled.new_classes, settled.hours
    if since is not None:
        earlier, hours = earlier.filter(pl.col("day") >= since), hours.filter(pl.col(TIME) >= since)
    if present.is_empty() and earlier.is_empty():
        return []
    new = earlier.select(NEW_CLASS, "rows", TIME)
    if present.height:
        new = pl.concat([new, present.select(NEW_CLASS, pl.lit(1, pl.Int64).alias("rows"), TIME)])
    counted = new.group_by(NEW_CLASS).agg(count=pl.col("rows").sum())
    counted = counted.sort("count", NEW_CLASS, descending=[True, False])
    labelled = int(rows[LABEL].is_not_null().sum()) + int(hours["labelled"].sum())
    found = int(new["rows"].sum())
    named = ", ".join(f"{_short(name)!r} on {count:,}" for name, count in counted.head(_SHOWN).iter_rows())
    more = f" and {counted.height - _SHOWN:,} more" if counted.height > _SHOWN else ""
    classes = "a class" if counted.height == 1 else f"{counted.height:,} classes"
    share = found / labelled
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
            sentence=f"{found:,} of {labelled:,} outcomes ({share:.1%}) are of {classes} that "
            f"version {version} did not learn: {named}{more} outcomes. It knows {quoted(scale.classes, most=_SHOWN)}, "
            f"so that these count as the worst possible. {remedy}",
            numbers={"rows": found, "labelled": labelled, "share": share, "classes": counted.height},
            since=new[TIME].min(),  # type: ignore[arg-type]
        )
    ]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
