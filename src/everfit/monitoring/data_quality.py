"""Data quality: sources and requests that stopped, clock skew, missing values, new categories, values out of range."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

import polars as pl

from everfit.core.columns import RECORDED_AT, TIME
from everfit.core.duration import format_duration, format_roughly
from everfit.core.evidence import SourceFreshness
from everfit.core.finding import Finding
from everfit.measures.bins import Bins
from everfit.measures.confidence import wilson_interval
from everfit.measures.sketch import ColumnSketch, Sketch
from everfit.monitoring.drift import ALPHA
from everfit.monitoring.gaps import UsualGaps
from everfit.monitoring.reference import Watched
from everfit.monitoring.windows import LEAST_ROWS
from everfit.store.timestamps import instant_literal

_WORTH_A_LOOK, _MUCH = 0.01, 0.1
_MARGIN = 0.1
_BEYOND = 1.25
"""New categories are usual up to this many times the largest share of a window of the reference; chosen."""
_SKEW = timedelta(minutes=5)
_NEWEST = 10_000
_LONGER = 3.0
"""Requests have stopped after a pause this many times as long as any before."""
_SURE = 0.999
"""Chance of a false finding of unseen categories; thousands of windows are tested."""


def feed_findings(
    asked: pl.DataFrame, freshness: Sequence[SourceFreshness], model: str, *, since: datetime, as_of: datetime
) -> list[Finding]:
    """Return problems of what comes in: sources that stopped or hold infinite values, requests that stopped, clocks.

    The instants of requests are given by :data:`TIME` and :data:`RECORDED_AT`; the newest ten thousand count.
    """
    asked = asked.select(TIME, RECORDED_AT).sort(RECORDED_AT, maintain_order=True).tail(_NEWEST)
    return [
        *_stale_sources(freshness, model, now=as_of),
        *_infinite_values(freshness, model),
        *_silence(asked, model, as_of=as_of),
        *_clock_skew(asked.filter(pl.col(TIME) >= instant_literal(since)), model),
    ]


def _stale_sources(freshness: Sequence[SourceFreshness], model: str, *, now: datetime) -> list[Finding]:
    """Return a finding for each source whose newest row is older than its views accept."""
    stopped = [one for one in freshness if one.age is None or one.age > one.ttl]
    found = []
    for one in {one.source: one for one in reversed(stopped)}.values():
        age = "it holds no row at all" if one.age is None else f"its newest row is {format_roughly(one.age)} old"
        found.append(
            Finding(
                kind="stale_source",
                model=model,
                subject=one.source,
                severity="critical",
                sentence=f"The source {one.source} has stopped: {age}, and the view {one.view} takes nothing older "
                f"than {format_duration(one.ttl)}, so that its features are missing.",
                numbers={"ttl_s": one.ttl.total_seconds()}
                | ({} if one.age is None else {"age_s": one.age.total_seconds()}),
                since=None if one.age is None else now - one.age,
            )
        )
    return found


def _infinite_values(freshness: Sequence[SourceFreshness], model: str) -> list[Finding]:
    """Return a finding for each feature with infinite values in its view's newest rows; they count as missing."""
    return [
        Finding(
            kind="infinite_values",
            model=model,
            subject=f"{part.view}.{feature}",
            severity="critical" if count == part.rows else "warning",
            sentence=f"{part.view}.{feature} is infinite in {count:,} of {part.rows:,} rows of the source "
            f"{part.source}; infinite values count as missing.",
            numbers={"infinite": count, "rows": part.rows},
        )
        for part in freshness
        for feature, count in part.infinite.items()
    ]


def _silence(rows: pl.DataFrame, model: str, *, as_of: datetime) -> list[Finding]:
    """Return a finding if requests have stopped."""
    moments = rows[RECORDED_AT]
    last, longest = moments.max(), moments.diff().max()
    if not isinstance(last, datetime) or not isinstance(longest, timedelta) or len(moments) < LEAST_ROWS:
        return []
    quiet = as_of - last
    if quiet <= max(_LONGER * longest, timedelta(hours=1)):
        return []
    return [
        Finding(
            kind="predictions_stopped",
            model=model,
            severity="warning",
            sentence=f"There was no request for {format_roughly(quiet)}; the longest pause before was "
            f"{format_roughly(longest)}.",
            numbers={"quiet_s": quiet.total_seconds(), "longest_s": longest.total_seconds()},
            since=last,
        )
    ]


def _clock_skew(rows: pl.DataFrame, model: str) -> list[Finding]:
    """Return a finding if event times lie after the prediction: a caller's clock, or its time zone, is wrong."""
    if rows.height < LEAST_ROWS:
        return []
    ahead = rows.filter(pl.col(TIME) > pl.col(RECORDED_AT) + _SKEW)
    share = ahead.height / rows.height
    if share < _WORTH_A_LOOK:
        return []
    by = ahead.select((pl.col(TIME) - pl.col(RECORDED_AT)).median()).item()
    return [
        Finding(
            kind="clock_skew",
            model=model,
            severity="warning",
            sentence=f"{ahead.height:,} of {rows.height:,} requests ({share:.0%}) have an event time "
            f"{format_roughly(by)} after their prediction: a caller's clock or time zone is wrong, and features are "
            "looked up for an instant that has not come.",
            numbers={"share": share, "median_s": by.total_seconds(), "rows": rows.height},
            since=ahead[RECORDED_AT].min(),  # type: ignore[arg-type]
        )
    ]


def column_findings(
    reference: Watched,
    window: Sketch,
    model: str,
    *,
    since: datetime,
    excused: Collection[str],
    joined: int = 1,
    alpha: float = ALPHA,
) -> list[Finding]:
    """Return problems of single columns of a window that begins at an instant; for each column the gravest at most.

    Args:
        excused: Columns whose gaps are explained by something else, such as a source that stopped.
        joined: Number of windows of the reference's length that the window spans.
        alpha: The probability that any column of a window is found to have gaps without a change.
    """
    if window.rows < LEAST_ROWS:
        return []
    found: list[Finding] = []
    gaps, largest_novelty = reference.gaps(joined), reference.largest_novelty(joined)
    for name in reference.layout.columns:
        if name not in excused:
            finding = partial(Finding, model=model, subject=name, since=since)
            before, after = reference.sketch.column(name), window.column(name)
            if more_gaps(before, after, gaps.get(name), alpha / len(reference.layout.columns)):
                found.append(_missing_finding(name, before, after, finding))
                continue
            usual = reference.novelty.get(name, 0.0), largest_novelty.get(name, 0.0)
            found += islice(_column_findings(name, before, after, usual, finding), 1)
    return found


def more_gaps(reference: ColumnSketch, window: ColumnSketch, usual: UsualGaps | None, alpha: float) -> bool:
    """Return true if more of a window is missing than days differ in that; by 10 points where no days are known."""
    share, before = window.missing / window.rows, reference.missing / max(reference.rows, 1)
    if usual is None:
        return share - before >= _MUCH
    if share - max(before, usual.largest) < _WORTH_A_LOOK:
        return False
    return usual.p_value(reference, window) <= alpha or (window.missing == window.rows and usual.largest < 0.5)


def _missing_finding(
    name: str, reference: ColumnSketch, window: ColumnSketch, finding: Callable[..., Finding]
) -> Finding:
    missing, usual = window.missing / window.rows, reference.missing / max(reference.rows, 1)
    whole = window.missing == window.rows
    text = f"{name} is missing in every one" if whole else f"{name} is missing in {missing:.0%}"
    return finding(
        kind="missing_values",
        severity="critical" if whole or missing - usual >= 0.5 else "warning",
        sentence=f"{text} of {window.rows:,} rows, where it was {usual:.1%} in what the model was made from.",
        numbers={"missing_share": missing, "usual_share": usual, "rows": window.rows},
    )


def _column_findings(
    name: str,
    reference: ColumnSketch,
    window: ColumnSketch,
    novelty: tuple[float, float],
    finding: Callable[..., Finding],
) -> Iterator[Finding]:
    if isinstance(reference.form, Bins):
        yield from _numeric_findings(name, reference, window, finding)
        return
    strangers = int(window.counts[reference.form.unseen])
    share, ordinary = strangers / window.rows, max(novelty[0], reference.form.novelty)
    # New categories are clustered: one new aircraft flies often. Twice what is usual is still nothing to speak of.
    tolerated = min(2 * ordinary, (1 + ordinary) / 2)
    if (
        share - max(ordinary, _BEYOND * novelty[1]) < _WORTH_A_LOOK
        or wilson_interval(strangers, window.rows, level=_SURE)[0] <= tolerated
    ):
        return
    beside = f", where {ordinary:.1%} are usual" if ordinary else ""
    yield finding(
        kind="unseen_categories",
        severity="warning",
        sentence=f"{name} has values that the model never met, in {strangers:,} of {window.rows:,} rows "
        f"({share:.1%}){beside}; it treats them as missing.",
        numbers={"unseen_share": share, "usual_share": ordinary, "rows": window.rows},
    )


def _numeric_findings(
    name: str, reference: ColumnSketch, window: ColumnSketch, finding: Callable[..., Finding]
) -> Iterator[Finding]:
    if not window.finite or not reference.finite:
        return
    if reference.low == reference.high and (window.low, window.high) != (reference.low, reference.high):
        yield finding(
            kind="constant_alive",
            severity="warning",
            sentence=f"{name} was always {reference.low:g} in what the model was made from, and now lies between "
            f"{window.low:g} and {window.high:g}: the model knows nothing of what that means.",
            numbers={"constant": reference.low, "low": window.low, "high": window.high},
        )
        return
    reach = _MARGIN * (reference.high - reference.low)
    outside = int(window.counts[0]) * (window.high < reference.low - reach)
    outside += int(window.counts[-1]) * (window.low > reference.high + reach)
    if outside / window.rows >= _WORTH_A_LOOK:
        yield finding(
            kind="out_of_range",
            severity="warning",
            sentence=f"{name} lies between {window.low:g} and {window.high:g}, all of it outside the "
            f"{reference.low:g} to {reference.high:g} that the model was made from.",
            numbers={"low": window.low, "high": window.high, "known_low": reference.low, "known_high": reference.high},
        )


def views_of(columns: Sequence[str], sources: Mapping[str, str], stale: Collection[str]) -> list[str]:
    """Return the columns, named ``view.feature``, of views whose source is stale, given the source of each view."""
    return [name for name in columns if sources.get(name.partition(".")[0]) in stale]
