"""How a model does: from the log to findings, incidents and figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from everfit.core.errors import UnknownVersionError
from everfit.core.progress import SILENT, Progress
from everfit.cycle.answers import answers_of, packages_of

if TYPE_CHECKING:
    from everfit.artifact.package import Package
    from everfit.core.evidence import SourceFreshness
    from everfit.cycle.system import System
    from everfit.definitions.model import Model
    from everfit.journal.ship import Shipped
    from everfit.monitoring.reference import Reference
    from everfit.monitoring.report import MonitorReport


_LOOK_BACK = timedelta(days=90)


_MOST_FIGURES = 100


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
    from everfit.features.freshness import measure_freshness
    from everfit.monitoring.look import Watching, look
    from everfit.monitoring.performance import Scale
    from everfit.monitoring.rows import standard_rows

    definition = system.project.model(model)
    now = as_of or system.clock.now()
    since = since or now - _LOOK_BACK
    progress.start("Reading")
    joined, reports = answers_of(system, definition, now)
    progress.finish("Reading", note=f"{joined.height:,} answers")
    progress.start("Comparing")
    present = system.deployment.read()
    deployed = next((each for each in present.models if each.model == definition.name), None) if present else None
    versions = sorted(set(joined["version"].to_list()))
    packages = packages_of(system, definition.name, versions, deployed)
    references = {version: _reference(package, definition) for version, package in packages.items()}
    schema = packages[max(packages)].schema if packages else None
    if schema is None:
        raise UnknownVersionError(
            "of the versions that answered, one must still be there", value=versions, place=definition.name
        )
    rows = standard_rows(joined, schema, slices=definition.slices)
    watching = Watching(
        model=definition.name,
        champion=deployed.champion.version if deployed else None,
        references={version: each for version, each in references.items() if each is not None},
        scale=Scale(task=definition.task, metric=definition.metric, classes=schema.classes),
        watches=definition.watches,
        slices=definition.slices,
        every=_stretch(now - since),
        freshness=measure_freshness(definition.views, system.reader, at=now),
        sources={view.name: view.source.name for view in definition.views},
        reports=reports,
    )
    report = look(rows, watching, since=since, as_of=now)
    progress.finish("Comparing", note=f"{len(report.findings)} findings")
    return report if as_of else _settle(system, report, watching.freshness)


def _reference(package: Package, definition: Model) -> Reference | None:
    """What a version is compared with; ``None`` if its package keeps no profile."""
    from everfit.definitions.watch import Drift
    from everfit.monitoring.importance import importance
    from everfit.monitoring.reference import HELD_OUT, reference_of

    profile = package.profile()
    if profile is None:
        return None
    predictor = package.predictor()
    weights = importance(
        profile.filter(HELD_OUT), package.schema.names, lambda rows: predictor.predict(package.transform(rows))
    )
    watch = next((each for each in definition.watches if isinstance(each, Drift)), None)
    return reference_of(
        profile, package.schema, metric=definition.metric, importance=weights,
        window=watch.length if watch else timedelta(days=1),
    )  # fmt: skip


def _stretch(span: timedelta) -> timedelta:
    """How long a stretch of time a figure covers, so that there are enough of them and not too many."""
    for stretch in (timedelta(hours=1), timedelta(days=1), timedelta(days=7)):
        if span / stretch <= _MOST_FIGURES:
            return stretch
    return timedelta(days=28)


def _settle(system: System, report: MonitorReport, freshness: Sequence[SourceFreshness]) -> MonitorReport:
    """Let incidents open and end, keep the figures, and tell people."""
    from everfit.monitoring.alerts import compose, send
    from everfit.monitoring.incidents import Incidents
    from everfit.monitoring.performances import Performances
    from everfit.monitoring.samples import samples_of
    from everfit.store.gauges import write_samples

    incidents, settings = Incidents(system.ledger), system.project.settings.alerts
    incidents.settle(report.model, report.findings, now=report.as_of)
    Performances(system.ledger).keep(report)
    settled = replace(report, incidents=incidents.of(report.model, since=report.since))
    write_samples(system.state / "gauges", report.model, samples_of(settled, freshness))
    known = {each.version: each for each in system.registry.versions(report.model)}
    for version in report.versions:
        if version.route == "answers" and version.version in known and version.overall.value is not None:
            seen = {report.metric: version.overall.value, "label_coverage": version.overall.coverage}
            system.registry.log_live(known[version.version], seen, at=report.as_of)
    message = compose(incidents.untold(report.model), settings=settings, now=report.as_of)
    if message is not None and settings.urls:
        send(message, settings.urls)
        incidents.tell(message.about)
    return settled
