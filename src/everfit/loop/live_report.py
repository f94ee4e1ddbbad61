"""Report by the state that a controller keeps: what it has settled is not read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl
from msgspec import structs

from everfit.core.columns import ID, KNOWN_AT, LABEL, RECORDED_AT, ROUTE, TIME, VERSION
from everfit.core.errors import PackageError
from everfit.core.evidence import SourceFreshness
from everfit.core.progress import Progress
from everfit.definitions.model import Model
from everfit.loop.declared_design import DesignWatch
from everfit.loop.deep_checks import NEWEST
from everfit.loop.evaluation_scope import live_scope
from everfit.loop.historical_rows import counted_windows, labelled_rows, versions_of
from everfit.loop.label_intake import LabelIntake
from everfit.loop.live_monitoring import LiveMonitoring
from everfit.loop.monitoring_cache import MonitoringCache
from everfit.monitoring.cache import CachedVersion, ReadBetween
from everfit.monitoring.evaluation import CountedBefore, build_live_report
from everfit.monitoring.figure_rows import FigureRows
from everfit.monitoring.prediction_frame import MARK, standard_rows
from everfit.monitoring.report.report import MonitorReport
from everfit.registry.aliases import CHAMPION
from everfit.registry.history import AliasHistory
from everfit.system import System

_MOST_FIGURES = 100
_MOST_FEATURED = 20_000
"""The champion's rows that are read with their features; chosen: slices of some hundred rows have narrow intervals."""
_MOST_OTHERS = 200_000
"""Predictions that are read where there are other versions than the champion."""


@dataclass(frozen=True, kw_only=True)
class DraftReport:
    """Report without its deep checks, and what these need."""

    report: MonitorReport
    freshness: Sequence[SourceFreshness]
    champion: CachedVersion | None
    read: ReadBetween
    newest_since: datetime
    """No event of the newest predictions, whose features are recomputed, is earlier."""


@dataclass(frozen=True, kw_only=True)
class _Others:
    """Predictions of versions beside the champion, with those of the champion of the same time."""

    rows: pl.DataFrame
    versions: dict[int, CachedVersion]
    counted: dict[tuple[int, str], CountedBefore]
    is_cut: bool


def live_draft(
    system: System, definition: Model, *, since: datetime, now: datetime, progress: Progress
) -> DraftReport | None:
    """Return the report by a controller's snapshot and what is new since; ``None`` if none was saved with settled rows.

    The snapshot is not written: a controller may be at work. Raises :class:`StoreError` and :class:`SourceError` if
    log, lake or a source cannot be read.
    """
    progress.start("Reading")
    cache = MonitoringCache()
    try:
        monitoring = cache.resumed(system, definition, now)
    except PackageError:
        return None
    finally:
        cache.close()
    if monitoring is None or monitoring.champion is None or monitoring.version is None or monitoring.rows is None:
        return None
    settled, rows = monitoring.settled, monitoring.rows
    progress.finish("Reading", note=f"{settled.rows + rows.height:,} predictions")
    progress.start("Comparing")
    others = _others(system, definition, monitoring, since, now)
    scope = live_scope(
        system,
        definition,
        monitoring,
        now,
        others={} if others is None else others.versions,
        every=figure_length(now - since),
        expected_delay=DesignWatch(system.project, definition.name).expected_delay,
    )
    featured = _featured(definition, monitoring, monitoring.version, since)
    counted = {**({} if others is None else others.counted), **scope.counted}
    scope = replace(scope, counted=counted, featured=featured)
    moments = monitoring.live.moments.filter(pl.col(RECORDED_AT) <= now)
    beside = None if others is None else others.rows
    report = build_live_report(moments, rows, beside, scope, since=since, as_of=now)
    notes = _notes(monitoring, monitoring.champion.version, featured, others, since)
    newest = moments.top_k(NEWEST, by=RECORDED_AT)[TIME].min() if moments.height >= NEWEST else None
    return DraftReport(
        report=structs.replace(report, notes=(*report.notes, *notes)),
        freshness=scope.freshness,
        champion=monitoring.version,
        read=monitoring.live.between,
        newest_since=max(since, newest) if isinstance(newest, datetime) else since,
    )


def figure_length(span: timedelta) -> timedelta:
    """Return the length of time that one figure covers, so that there are enough of them and not too many."""
    lengths = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
    return next((length for length in lengths if span / length <= _MOST_FIGURES), timedelta(days=28))


def left_out_note(rows: int) -> str:
    """Return the sentence on rows whose instants break the rule for instants."""
    return f"{rows:,} rows are left out: their event or known time is not in the years 1970 to 2200."


def _others(
    system: System, definition: Model, monitoring: LiveMonitoring, since: datetime, now: datetime
) -> _Others | None:
    """Return the predictions of other versions, of the newest ones of the model; ``None`` if there can be none."""
    assert monitoring.champion is not None
    number = monitoring.champion.version
    if not _had_others(system, definition.name, number, since):
        return None
    columns = None if definition.task == "regression" else definition.slices
    history = LabelIntake(system, definition).history(columns, most_rows=_MOST_OTHERS)
    history.catch_up()
    predictions = history.as_of(now)
    if predictions.is_empty() or (predictions[VERSION] == number).all():
        return None
    versions = versions_of(system, definition, predictions)
    rows = labelled_rows(history, predictions, versions, definition, now)
    beside = rows.filter((pl.col(VERSION) != number) | (pl.col(ROUTE) == "shadow"))
    counted = counted_windows(system, definition, versions, beside, history, now)
    return _Others(rows=rows, versions=versions, counted=counted, is_cut=history.is_cut)


def _had_others(system: System, model: str, champion: int, since: datetime) -> bool:
    """Return true if another version than the champion may have predicted since an instant."""
    if any(rollout.entered_at >= since or not rollout.ended for rollout in system.rollouts.of(model)):
        return True
    changes = [change for change in AliasHistory(system.ledger).of(model) if change.alias == CHAMPION]
    earlier = any(change.version not in {champion, None} for change in changes)
    return earlier and changes[-1].changed_at >= since


def _featured(
    definition: Model, monitoring: LiveMonitoring, version: CachedVersion, since: datetime
) -> pl.DataFrame | None:
    """Return the champion's newest labelled rows with their features; ``None`` where no figure needs any."""
    names = dict.fromkeys([*(version.schema.names if definition.task == "regression" else ()), *definition.slices])
    if not names or monitoring.rows is None:
        return None
    known = monitoring.rows.filter(pl.col(TIME) >= since, pl.col(LABEL).is_not_null()).tail(_MOST_FEATURED)
    first, last = known[TIME].min(), known[TIME].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return None
    read = monitoring.live.between(first, last, list(names))
    unlabelled = read.with_columns(
        pl.lit(None, pl.String).alias(LABEL), pl.lit(None, known[TIME].dtype).alias(KNOWN_AT)
    )
    features = standard_rows(unlabelled, version.schema, slices=definition.slices).select(ID, MARK, *names)
    bare = known.drop(names, strict=False)
    return bare.join(features, on=[ID, MARK], how="inner", maintain_order="left")


def _notes(
    monitoring: LiveMonitoring, version: int, featured: pl.DataFrame | None, others: _Others | None, since: datetime
) -> Iterator[str]:
    """Yield sentences on what the report's parts are about."""
    assert monitoring.rows is not None
    settled = monitoring.settled
    figured = FigureRows.of(monitoring.rows, settled, since=since)
    yield (
        f"Findings, alarm, drift and the numbers of rows and outcomes are about all of version {version}'s "
        f"{settled.rows + monitoring.rows.height:,} predictions. "
        + (
            "Metrics, estimates and class shares are of all predictions shown."
            if figured.one_in == 1
            else f"Metrics, estimates and class shares are of a random sample: one in {figured.one_in:,} of the "
            f"predictions shown, {figured.rows.height:,} rows."
        )
    )
    earliest = None if settled.sample is None else settled.sample[TIME].min()
    if isinstance(earliest, datetime) and settled.first is not None and max(settled.first, since) < earliest:
        yield f"Predictions before {earliest:%Y-%m-%d} are counted, but no metric is computed of them."
    if featured is not None:
        yield f"Slices, and the estimates of a regression, are of the newest {featured.height:,} outcomes."
    if others is not None and others.is_cut:
        yield f"Other versions are shown by the newest {others.rows.height:,} predictions of the model."
    if monitoring.live.feed.left_out:
        yield left_out_note(monitoring.live.feed.left_out)
