"""How a model does: from the log to findings, incidents and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from everfit.core.errors import EmptyWindowError, UnknownVersionError
from everfit.core.finding import Finding, FindingKind, Incident
from everfit.core.progress import SILENT, Progress
from everfit.loop.deep_checks import CLOSER, look_closer, unseen

if TYPE_CHECKING:
    from polars import DataFrame

    from everfit.artifact.package import Package
    from everfit.artifact.schema import InputSchema
    from everfit.core.evidence import SourceFreshness
    from everfit.definitions.model import Model
    from everfit.journal.ship import Shipped
    from everfit.loop.cache import Memory, RememberedVersion
    from everfit.monitoring.evaluation import CountedBefore, Watching
    from everfit.monitoring.incidents import Incidents
    from everfit.monitoring.report.report import MonitorReport
    from everfit.store.deployment import Deployed
    from everfit.system import System


_LOOK_BACK = timedelta(days=90)
_MOST_FIGURES = 100
_OF_THE_LOOP: frozenset[FindingKind] = frozenset(
    {"training_failed", "candidate_refused", "taken_back", "clock_set_back", "loop_trouble"}
)
"""What only whoever runs the loop finds, and tells :func:`watch`."""


class Watched(Struct, frozen=True, kw_only=True):
    """What :func:`watch` saw."""

    model: str
    as_of: datetime
    champion: int | None
    rows: int
    """Predictions of all versions, as far as they were shipped."""
    labelled: int
    """Of the champion's answers, those whose outcome is known."""
    findings: tuple[Finding, ...]
    """The gravest first."""
    incidents: tuple[Incident, ...]
    """Those that are open, and those that ended just now."""


def ship(system: System, *, progress: Progress = SILENT) -> Shipped:
    """Move what the prediction service has finished writing into the lake's tables.

    Raises:
        StoreError: If somebody else is at it, or the lake cannot be written; nothing is lost then.
    """
    from everfit.journal.ship import ship as run

    return run(system.journal, system.lake, progress=progress)


def monitor(
    system: System,
    model: str | None = None,
    *,
    since: datetime | None = None,
    as_of: datetime | None = None,
    progress: Progress = SILENT,
) -> MonitorReport:
    """Look at how a model does.

    Without ``as_of`` it is a look at the present: incidents open and end by it, people are told, and figures are kept.
    With it, it only shows what was known then.

    Args:
        system: The parts.
        model: Its name; may be left out where there is only one.
        since: What was asked earlier is left out of figures; ninety days before ``as_of`` by default.
        as_of: Nothing that became known later is used; now by default.
        progress: Hears how far it is.

    Raises:
        EmptyWindowError: If nothing was ever asked.
        StoreError: If the log, the lake or the ledger cannot be read.
        AlertError: If an alert did not reach its channel; all else is done then.
    """
    from everfit.loop.cache import Memory
    from everfit.loop.prediction_history import Answers, known_of, packages_of
    from everfit.monitoring.evaluation import look, own_rows, parts_of
    from everfit.store.ledger import is_writable

    definition = system.project.model(model)
    now = as_of or system.clock.now()
    since = since or now - _LOOK_BACK
    progress.start("Reading")
    # What a regression will cost is told from its features.
    columns = None if definition.task == "regression" else definition.slices
    answers = Answers(system.lake, system.journal, definition.name, columns=columns, include_unshipped=True)
    answers.catch_up()
    if answers.rows.is_empty():
        raise EmptyWindowError(
            "a model must have answered before it can be watched",
            value=definition.name,
            remedy="Serve it: everfit serve.",
        )
    made = answers.made_by(now)
    known = known_of(system, definition, answers, made, now)
    progress.finish("Reading", note=f"{made.height:,} answers")
    progress.start("Comparing")
    numbers, deployed = sorted(set(made["version"].to_list())), system.deployment.of(definition.name)
    packages = packages_of(system, definition.name, numbers, deployed)
    if not packages:
        raise UnknownVersionError(
            "of the versions that answered, one must still be there", value=numbers, place=definition.name
        )
    memory = Memory()
    versions = {
        number: memory.version(package.digest, definition, partial(_opened, package))
        for number, package in packages.items()
    }
    schemas = {number: version.schema for number, version in versions.items()}
    rows = _by_own_scale(known.joined(made), schemas, features=columns is None, slices=definition.slices)
    counted = {
        (number, route): versions[number].counted(
            _counts(system, definition, number, route), own_rows(rows, number, route), answers, until=now
        )
        for number, route in parts_of(rows)
        if number in versions
    }
    watching = _watching(
        system,
        definition,
        now,
        champion=deployed.champion.version if deployed else None,
        versions=versions,
        every=_stretch(now - since),
        reports=known.reports,
        counted={part: each for part, each in counted.items() if each is not None},
    )
    report = look(rows, watching, since=since, as_of=now)
    if answers.left_out:
        note = f"{answers.left_out:,} rows are left out: their event or known time is not in the years 1970 to 2200."
        report = structs.replace(report, notes=(*report.notes, note))
    progress.finish("Comparing", note=f"{len(report.findings)} findings")
    champion = watching.champion
    known_champion = (champion, versions[champion]) if champion is not None and champion in versions else None
    report = look_closer(system, definition, report, champion=known_champion, answers=answers, progress=progress)
    if as_of is None and not is_writable(system.ledger):
        note = "Incidents and figures are not kept: the project's folder cannot be written."
        return structs.replace(report, notes=(*report.notes, note))
    return report if as_of else _settle(system, report, watching.freshness)


def watch(
    system: System,
    model: str | None,
    memory: Memory,
    *,
    as_of: datetime | None = None,
    also: Sequence[Finding] = (),
) -> Watched:
    """Find what is worth saying of a model's present, let incidents open and end, and tell people.

    It finds what :func:`monitor` does, in what was shipped, without the figures that only a report shows: so quickly
    that a loop may call it after every shipping.

    Args:
        system: The parts.
        model: Its name; may be left out where there is only one.
        memory: The caller's, given to every call.
        as_of: The present, which only goes on; now by default.
        also: What the caller found by itself.

    Raises:
        StoreError: If the lake or the ledger cannot be read.
        PackageError: If the champion's package cannot be read.
        AlertError: If an alert did not reach its channel; all else is done then.
    """
    from everfit.loop.prediction_history import known_of
    from everfit.monitoring.evaluation import ANSWERS, find, own_rows
    from everfit.monitoring.prediction_frame import ASKED, TRUTH, standard_rows

    definition = system.project.model(model)
    now = as_of or system.clock.now()
    answers = memory.answers(system, definition)
    made, deployed = answers.made_by(now), system.deployment.of(definition.name)
    champion, versions, counted, rows, reports = None, {}, {}, None, None
    if deployed is not None and made.height:
        champion = deployed.champion.version
        versions[champion] = version = memory.version(
            deployed.champion.digest, definition, lambda: _package(system, deployed.champion)
        )
        own = own_rows(made, champion, ANSWERS)
        known = known_of(system, definition, answers, made, now)
        reports = known.reports
        rows = standard_rows(known.joined(own), version.schema)
        before = version.counted(_counts(system, definition, champion, ANSWERS), rows, answers, until=now)
        counted = {} if before is None else {(champion, ANSWERS): before}
    watching = _watching(
        system,
        definition,
        now,
        champion=champion,
        versions=versions,
        reports=reports,
        counted=counted,
    )
    asked = made.rename({"event_time": ASKED})
    found = (*also, *find(asked, rows, watching, since=now - _LOOK_BACK, as_of=now))
    incidents = system.incidents
    incidents.record(definition.name, found, now=now, not_evaluated=CLOSER)
    _tell(system, incidents, definition.name, now=now)
    return Watched(
        model=definition.name,
        as_of=now,
        champion=champion,
        rows=made.height,
        labelled=0 if rows is None else int(rows[TRUTH].is_not_null().sum()),
        findings=found,
        incidents=incidents.of(definition.name, since=now),
    )


def _by_own_scale(
    joined: DataFrame, schemas: Mapping[int, InputSchema], *, features: bool, slices: Sequence[str]
) -> DataFrame:
    """Predictions in monitoring's form, each version's by the classes that it knows.

    Args:
        joined: With their outcomes.
        schemas: The versions' by number; a version without one is read by the newest's.
        features: If features are wanted.
        slices: Columns that are wanted anyway.
    """
    import polars as pl

    from everfit.monitoring.prediction_frame import ASKED, ID, standard_rows

    newest, parts = schemas[max(schemas)], []
    for number in joined["version"].unique().sort().to_list():
        schema = schemas.get(number, newest)
        wanted = [*(newest.names if features else ()), *slices]
        parts.append(standard_rows(joined.filter(pl.col("version") == number), schema, slices=wanted))
    return pl.concat(parts, how="diagonal_relaxed").sort(ASKED, ID, maintain_order=True)


def _package(system: System, deployed: Deployed) -> Package:
    from everfit.artifact.package import open_package

    return open_package(system.deployment.folder_of(deployed), trust=system.trust)


def _opened(package: Package) -> Package:
    return package


def _counts(system: System, definition: Model, version: int, route: str) -> Path:
    """The folder of what was counted of a version; windows of another length are others."""
    from everfit.loop.cache import window_of

    window = window_of(definition)
    length = f"{window}rows" if isinstance(window, int) else f"{window.total_seconds():.0f}s"
    return system.state / "counts" / definition.name / f"{version}-{route}-{length}"


def _watching(
    system: System,
    definition: Model,
    now: datetime,
    *,
    champion: int | None,
    versions: Mapping[int, RememberedVersion],
    reports: DataFrame | None,
    counted: Mapping[tuple[int, str], CountedBefore],
    every: timedelta = timedelta(days=1),
) -> Watching:
    from everfit.features.freshness import measure_freshness
    from everfit.monitoring.evaluation import Watching
    from everfit.monitoring.performance import Scale

    scales = {
        number: Scale(task=definition.task, metric=definition.metric, classes=version.schema.classes)
        for number, version in versions.items()
    }
    newest = scales[max(scales)] if scales else Scale(task=definition.task, metric=definition.metric)
    return Watching(
        model=definition.name,
        champion=champion,
        references={number: each.reference for number, each in versions.items() if each.reference is not None},
        scale=newest if champion is None else scales.get(champion, newest),
        scales=scales,
        watches=definition.watches,
        slices=definition.slices,
        every=every,
        freshness=measure_freshness(definition.views, system.reader, at=now),
        sources={view.name: view.source.name for view in definition.views},
        reports=reports,
        counted=counted,
    )


def _stretch(span: timedelta) -> timedelta:
    """How long a stretch of time a figure covers, so that there are enough of them and not too many."""
    for stretch in (timedelta(hours=1), timedelta(days=1), timedelta(days=7)):
        if span / stretch <= _MOST_FIGURES:
            return stretch
    return timedelta(days=28)


def _settle(system: System, report: MonitorReport, freshness: Sequence[SourceFreshness]) -> MonitorReport:
    """Keep the figures, let incidents open and end, and tell people."""
    from everfit.monitoring.performance_store import Performances
    from everfit.monitoring.report.gauges import samples_of
    from everfit.store.gauges import write_samples

    incidents = system.incidents
    incidents.record(report.model, report.findings, now=report.as_of, not_evaluated=_OF_THE_LOOP | unseen(report))
    Performances(system.ledger).keep(report)
    settled = structs.replace(report, incidents=incidents.of(report.model, since=report.since))
    write_samples(system.state / "gauges", report.model, samples_of(settled, freshness))
    known = {each.version: each for each in system.registry.versions(report.model)}
    for version in report.versions:
        if version.route == "answers" and version.version in known and version.overall.value is not None:
            seen = {report.metric: version.overall.value, "label_coverage": version.overall.coverage}
            system.registry.log_live(known[version.version], seen, at=report.as_of)
    _tell(system, incidents, report.model, now=report.as_of)
    return settled


def _tell(system: System, incidents: Incidents, model: str, *, now: datetime) -> None:
    """Tell people what they were not told yet."""
    from everfit.monitoring.alerts import compose, send

    settings = system.project.settings.alerts
    message = compose(incidents.unnotified(model), settings=settings, now=now)
    if message is not None and settings.urls:
        send(message, settings.urls)
        incidents.mark_notified(message.about)
