"""Health of the loop itself, as findings: monitoring of a model's predictions would not show it."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from typing import get_args

from everfit.core.errors import EverfitError, StoreError
from everfit.core.finding import Finding, FindingKind
from everfit.definitions.model import Model
from everfit.serving.worker_report import read_reports
from everfit.store.controller_report import is_alive
from everfit.store.ledger import require_writable
from everfit.store.reader import Reader
from everfit.system import System

_LEAST_FREE_BYTES = 128 << 20
"""A round, a training and a minute of predictions need less."""
_JITTER = timedelta(seconds=1)
"""Backward clock jumps up to this are ignored."""

_SLOW_S = 1.0
"""A round comes every two seconds."""

FOUND_BY_LOOP = frozenset[FindingKind](
    {
        "loop_trouble",
        "slow_source",
        "clock_set_back",
        "training_failed",
        "candidate_refused",
        "taken_back",
        "review_overdue",
    }
)
"""Kinds that are known without monitoring."""
FOUND_BY_MONITORING = frozenset[FindingKind](get_args(FindingKind)) - FOUND_BY_LOOP
"""All other kinds."""


class HealthCheck:
    """Checks of what the loop and the prediction service rest on; each returns a sentence, or an empty text."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lost_rows = 0

    def stores(self) -> str:
        """Check that the disk has room and the ledger can be written."""
        folder, problem = self._system.state, ""
        free, least = shutil.disk_usage(folder).free, _LEAST_FREE_BYTES
        if free < least:
            problem = (
                f"The disk of {folder} has only {free >> 20} MiB left, less than the {least >> 20} MiB below which "
                "predictions, labels and trainings may not be recorded; free some of it."
            )
        try:
            require_writable(self._system.ledger)
        except StoreError as error:
            return f"{problem} Nothing could be put on record: {error}".lstrip()
        return problem

    def service(self) -> str:
        """Check that the service's workers record all predictions, and could load what is deployed."""
        reports = read_reports(self._system.state / "workers").values()
        lost = sum(report.lost_rows for report in reports)
        # A worker that starts again counts from zero.
        fresh, self._lost_rows = lost - self._lost_rows, lost
        found = [f"{fresh:,} predictions could not be recorded: the disk of the log refused."] if fresh > 0 else []
        refused = {name: why for report in reports if is_alive(report.pid) for name, why in report.refused.items()}
        found += [f"{name} could not be loaded by the service: {why.rstrip('.')}." for name, why in refused.items()]
        return " ".join(found)


class ClockCheck:
    """Check that the clock of one model's rounds only goes forward."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._latest: datetime | None = None

    def findings(self, now: datetime) -> list[Finding]:
        """Return a finding while the clock is behind an instant that it has shown."""
        if self._latest is None or now >= self._latest - _JITTER:
            self._latest = now
            return []
        sentence = (
            f"The clock says {now:%Y-%m-%d %H:%M:%S} UTC, but it was {self._latest:%Y-%m-%d %H:%M:%S} already; nothing "
            "is ordered twice, but schedules wait until the clock has caught up."
        )
        return [Finding(kind="clock_set_back", model=self._model, severity="warning", since=now, sentence=sentence)]


def slow_sources(definition: Model, reader: Reader, now: datetime) -> list[Finding]:
    """Return a finding for each function that a round calls for all its rows, and that takes longer than a second."""
    sources = {source.name: source for source in (definition.events.source, *(v.source for v in definition.views))}
    return [
        Finding(
            kind="slow_source",
            model=definition.name,
            subject=name,
            severity="warning",
            sentence=f"The function of the source {name} took {taken_s:.1f} s, and every round of the controller waits "
            "for it. Give it the parameters start and end, so that it need not return all rows.",
            numbers={"seconds": taken_s},
            since=now,
        )
        for name, source in sources.items()
        if (taken_s := reader.call_s(source)) > _SLOW_S
    ]


def health_finding(model: str, sentence: str, now: datetime) -> Finding:
    """Return the finding that something keeps the loop from its work: one, whatever it is."""
    return Finding(kind="loop_trouble", model=model, severity="critical", sentence=sentence, since=now)


def describe(error: Exception) -> str:
    """Return an error's text; ours name the remedy, of any other the class helps to search for it."""
    return str(error) if isinstance(error, EverfitError) else f"{type(error).__name__}: {error}"
