"""Monitoring of a champion from round to round: what is new is added to what is settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl

from everfit.artifact.package import open_package
from everfit.core.columns import ID, KNOWN_AT, LABEL, TIME
from everfit.definitions.label_digest import label_digest
from everfit.definitions.model import Model
from everfit.definitions.watch import PerformanceDrop
from everfit.journal.label_join import repeated_reports
from everfit.journal.live_predictions import LivePredictions, LiveState
from everfit.monitoring.cache import CachedVersion, VersionCache, counts_folder
from everfit.monitoring.evaluation import ANSWERS, CountedBefore
from everfit.monitoring.labels import count_reports
from everfit.monitoring.performance_alarm import MOST_KEPT, PerformanceTest, TestState, performance_test
from everfit.monitoring.prediction_frame import standard_rows
from everfit.monitoring.settled import ReportCounts, Settled
from everfit.store.deployment import Deployed
from everfit.system import System

_LATE = timedelta(minutes=10)
"""Labels that enter the test later than this before the present are not settled: others may still come before them."""
_MOST_WAITING = 2_000_000
"""Predictions that may wait for their labels; those of the earliest events are given up."""


@dataclass(frozen=True, kw_only=True)
class MonitoringState:
    """State of a champion's monitoring, by which another process can go on."""

    live: LiveState
    settled: Settled
    test: TestState | None


@dataclass
class LiveMonitoring:
    """A champion's live predictions, what is settled of them, and the test of its performance."""

    champion: Deployed | None
    live: LivePredictions
    folder: Path
    """Of its counted windows."""
    version: CachedVersion | None = None
    test: PerformanceTest | None = None
    settled: Settled = field(default_factory=Settled)
    rows: pl.DataFrame | None = None
    """In monitoring's form, with the labels known at the last call of :meth:`advance`; ``None`` without a champion."""
    counted: CountedBefore | None = None

    @classmethod
    def begin(
        cls, system: System, definition: Model, champion: Deployed | None, versions: VersionCache
    ) -> LiveMonitoring:
        """Return the monitoring of a champion of which nothing was read yet.

        Raises :class:`PackageError` if its package cannot be read.
        """
        live = LivePredictions(
            system.lake,
            system.journal,
            definition.name,
            labels=label_digest(definition),
            version=None if champion is None else champion.version,
        )
        if champion is None:
            return cls(None, live, system.state)
        folder = counts_folder(system.state, definition, champion.version, ANSWERS)
        opened = partial(open_package, system.deployment.folder_of(champion), trust=system.trust)
        version = versions.version(champion.digest, definition, opened)
        watch = next((watch for watch in definition.watches if isinstance(watch, PerformanceDrop)), None)
        reference = version.reference
        kept = MOST_KEPT
        if reference is not None and isinstance(reference.window, int):
            # The rows of a window should be there when it is full.
            kept = max(kept, 2 * reference.window)
        test = None if watch is None or reference is None else performance_test(reference, watch, kept=kept)
        return cls(champion, live, folder, version=version, test=test)

    def state(self) -> MonitoringState:
        """Return the state by which another process can go on; nothing must be left to read."""
        test = None if self.test is None else self.test.state()
        return MonitoringState(live=self.live.state(), settled=self.settled, test=test)

    def resume(self, state: MonitoringState) -> None:
        """Go on from a state, in place of the beginning."""
        self.live.resume(state.live)
        self.settled = state.settled
        if self.test is not None and state.test is not None:
            self.test.resume(state.test)

    def advance(self, now: datetime) -> None:
        """Evaluate what was read by the last call of :meth:`LivePredictions.catch_up`; raises :class:`StoreError`."""
        if self.version is None or self.live.rows.is_empty():
            return
        self.rows = standard_rows(self.live.joined(now), self.version.schema)
        read, windows = self.live.between, self.settled.windows
        self.counted = self.version.counted(self.folder, self.rows, read, until=now, settled=windows)
        if self.live.is_behind:
            if self.test is not None:
                self.test.of(self.rows)
            newest = self.rows[TIME].max()
            assert newest is None or isinstance(newest, datetime)
            self.settle(now if newest is None else min(now, newest))

    def settle(self, now: datetime) -> None:
        """Add the rows that are not looked at any more to the summary."""
        if self.rows is None or self.version is None:
            return
        ids = self._first_known(now - _LATE) if self.test is None else self.test.settle(now - _LATE)
        waiting = self.rows.filter(pl.col(LABEL).is_null())
        if waiting.height > _MOST_WAITING:
            ids = pl.concat([ids, waiting[ID][: waiting.height - _MOST_WAITING]])
        if ids.is_empty():
            return
        settled = self.rows.join(pl.DataFrame({ID: ids}), on=ID, how="semi")
        window = self.version.reference.window if self.version.reference else timedelta(days=1)
        reports = repeated_reports(self.live.outcomes, self.live.labels, settled, now)
        own = None if reports is None else reports.join(settled, on=ID, how="semi")
        self.settled = self.settled.add(settled, window=window, reports=_counts(own, settled))
        self.live.settle(ids)
        self.rows = self.rows.join(settled, on=ID, how="anti", maintain_order="left")

    def reports(self, now: datetime) -> ReportCounts:
        """Count the reports of labels that are not settled."""
        if self.rows is None:
            return ReportCounts()
        return _counts(repeated_reports(self.live.outcomes, self.live.labels, self.rows, now), self.rows)

    def _first_known(self, until: datetime) -> pl.Series:
        assert self.rows is not None
        known = self.rows.filter(pl.col(LABEL).is_not_null()).sort(KNOWN_AT)
        most = min(known.height - MOST_KEPT, int((known[KNOWN_AT] <= until).sum()))
        return known[ID][: max(most, 0)]


def _counts(reports: pl.DataFrame | None, rows: pl.DataFrame) -> ReportCounts:
    """Count reports, none of which can be repeated if they are ``None``."""
    return ReportCounts(ids=int(rows[LABEL].count())) if reports is None else count_reports(reports)
