"""The loop. Read this first.

    design → releases → features → training → gates → registry → delivery → serving → journal → monitoring → triggers ↺

Each station is a folder that knows none of the others; what they hand on is a record. The functions below walk the
ring, and they alone know its order. Today a person starts every step (level ``manual``); stations without a module
are the ones still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from everfit.core.clock import Clock
from everfit.core.duration import format_duration
from everfit.core.errors import EmptyWindowError, EverfitError, UnknownVersionError
from everfit.core.progress import SILENT, Progress
from everfit.core.records import (
    DesignCheck,
    FrameManifest,
    GateReport,
    ModelVersion,
    Problem,
    Score,
    SliceScore,
    Split,
)
from everfit.store.deployment import Deployed, DeploymentRecord, ModelDeployment

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray
    from sqlalchemy import Engine

    from everfit.artifact.manifest import Lineage
    from everfit.artifact.package import Package
    from everfit.artifact.signing import Signer, Trust
    from everfit.core.evidence import Evidence, SourceFreshness, TrainingFrame
    from everfit.definitions.model import Model
    from everfit.definitions.project import Project
    from everfit.features.materialize import MaterializedView
    from everfit.features.parity import ParityReport
    from everfit.journal.ship import Shipped
    from everfit.monitoring.reference import Reference
    from everfit.monitoring.report import MonitorReport
    from everfit.registry.registry import Registry
    from everfit.store.online import OnlineStore
    from everfit.store.reader import Reader
    from everfit.training.candidate import Candidate


_LOOK_BACK = timedelta(days=90)
_MOST_FIGURES = 100


@dataclass(frozen=True, kw_only=True)
class Station:
    """One stop on the ring."""

    name: str
    takes: str
    gives: str
    line: str
    module: str = ""
    """The package that holds it; empty while a person does its work."""


STATIONS: tuple[Station, ...] = (
    Station(
        name="design",
        takes="the project's definitions",
        gives="DesignCheck",
        line="what the model is for, held against the data",
        module="everfit.design",
    ),
    Station(name="releases", takes="a git commit", gives="Release", line="tested, locked, isolated code"),
    Station(
        name="features",
        takes="definitions, time range, as-of",
        gives="TrainingFrame, online rows",
        line="point-in-time history, online store, materialisation",
        module="everfit.features",
    ),
    Station(
        name="training",
        takes="TrainingFrame",
        gives="Candidate",
        line="time split, tuning, fitting",
        module="everfit.training",
    ),
    Station(
        name="gates",
        takes="Evidence on a Candidate and the champion",
        gives="GateReport",
        line="tests of data and model that decide whether it may ship",
        module="everfit.gates",
    ),
    Station(
        name="registry",
        takes="a package, GateReport",
        gives="ModelVersion",
        line="versions, aliases, lineage, history",
        module="everfit.registry",
    ),
    Station(name="delivery", takes="ModelVersion", gives="Rollout", line="shadow, canary, full, rolled back"),
    Station(
        name="serving",
        takes="request",
        gives="Prediction",
        line="HTTP, feature lookup, model execution",
        module="everfit.serving",
    ),
    Station(
        name="journal",
        takes="Prediction, outcome",
        gives="ScoredWindow",
        line="durable log, late labels joined",
        module="everfit.journal",
    ),
    Station(
        name="monitoring",
        takes="predictions with outcomes, the version's profile",
        gives="Finding",
        line="performance, drift, data quality",
        module="everfit.monitoring",
    ),
    Station(name="triggers", takes="Finding, schedule", gives="RetrainOrder", line="when to retrain, and why"),
)


@dataclass(frozen=True)
class System:
    """The running parts of one project, put together by :mod:`everfit.wiring`."""

    project: Project
    clock: Clock
    state: Path
    """The folder that holds everything this project remembers."""
    journal: Path
    """The log that the prediction service writes."""
    lake: Path
    """The tables that the log is shipped to."""
    reader: Reader
    online: OnlineStore
    deployment: DeploymentRecord
    signer: Signer
    trust: Trust
    connect_registry: Callable[[], Registry]
    connect_ledger: Callable[[], Engine]
    recorded_project: Callable[[Package], Project]
    """The definitions as they were when a package was made, from the code that is kept in it."""

    @cached_property
    def registry(self) -> Registry:
        """The registry; connected when first used, since MLflow takes seconds to import."""
        return self.connect_registry()

    @cached_property
    def ledger(self) -> Engine:
        """The ledger's database; opened, and brought up to date, when first used."""
        return self.connect_ledger()


class Learned(Struct, frozen=True, kw_only=True):
    """What a training came to."""

    model: str
    run_id: str
    version: ModelVersion | None
    """``None`` if a gate refused the candidate."""
    report: GateReport
    manifest: FrameManifest
    split: Split
    params: dict[str, str | int | float | bool | None]
    scores: tuple[Score, ...]
    slices: tuple[SliceScore, ...]
    trials: int


class ViewDescription(Struct, frozen=True, kw_only=True):
    """A feature view, for readers."""

    name: str
    keys: tuple[str, ...]
    source: str
    ttl: str
    features: tuple[str, ...]
    materialized_until: datetime | None
    description: str


def check(system: System, *, as_of: datetime | None = None, progress: Progress = SILENT) -> DesignCheck:
    """Hold the definitions against the data.

    Everything is looked at, whatever was found before, so that all problems come out at once; only what needs a
    training frame is left out where there is no making one.
    """
    from everfit.design import labels, leaks, sources
    from everfit.design.findings import from_exception
    from everfit.features.compute import view_rows

    project, reader = system.project, system.reader
    as_of = as_of or system.clock.now()
    checked: list[str] = []
    problems: list[Problem] = []

    def look(what: str, found: list[Problem]) -> None:
        checked.append(what)
        problems.extend(found)
        progress.advance("Checking", note=what)

    progress.start("Checking", total=len(project.sources) + len(project.views) + 3 * len(project.models))
    for source in project.sources.values():
        look(f"source {source.name}", sources.check_source(source, reader))
    for view in project.views.values():
        found = sources.check_view(view, reader)
        if not found and not problems:
            try:
                view_rows(view, reader, as_of=as_of).head(1).collect()
            except EverfitError as error:
                found = [from_exception(f"feature view {view.name}", error)]
        look(f"feature view {view.name}", found)
    for model in project.models.values():
        look(f"model {model.name}", labels.check_model(model))
        look(f"events of {model.name}", sources.check_events(model, reader))
        if any(problem.severity == "error" for problem in problems):
            continue
        look(f"labels, leaks and slices of {model.name}", _check_frame(system, model, as_of, leaks, labels))
    progress.finish("Checking")
    return DesignCheck(project=project.name, checked=tuple(checked), problems=tuple(dict.fromkeys(problems)))


def _check_frame(system: System, model: Model, as_of: datetime, leaks: ModuleType, labels: ModuleType) -> list[Problem]:
    from everfit.design.findings import from_exception
    from everfit.features.history import build_frame

    try:
        frame = build_frame(model, system.reader, as_of=as_of)
    except EverfitError as error:
        return [from_exception(f"model {model.name}", error)]
    found: list[Problem] = [*labels.check_labels(model, frame), *labels.check_slices(model, frame)]
    found += leaks.check_leaks(model, frame)
    for view in model.views:
        found += leaks.check_view_against_label(model, view, system.reader)
    return found


def learn(
    system: System,
    model: str | None = None,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    as_of: datetime | None = None,
    reason: str = "started by hand",
    actor: str = "",
    progress: Progress = SILENT,
) -> Learned:
    """Train a candidate, test it and, if every gate passes, register it as challenger.

    Nothing is registered unless everything went well; what went wrong is kept as a failed run.

    Args:
        system: The parts.
        model: Its name; may be left out where there is only one.
        start: First event time, inclusive; all history by default.
        end: Last event time, exclusive; ``as_of`` by default.
        as_of: Nothing that became known later is used; now by default.
        reason: Why, for the record.
        actor: Who asked, for the record.
        progress: Hears how far it is.

    Raises:
        DataError: If the rows are not what was declared, or too few.
        TrainingError: If the trainer fails on every trial.
    """
    from everfit.features.history import build_frame

    definition = system.project.model(model)
    frame = build_frame(
        definition, system.reader, start=start, end=end, as_of=as_of or system.clock.now(), progress=progress
    )
    tags = {"everfit.reason": reason, "everfit.actor": actor, "everfit.data": frame.manifest.digest}
    run_id = system.registry.start_run(definition.name, tags=tags)
    try:
        learned = _learn(system, definition, frame, run_id=run_id, tags=tags, progress=progress)
    except BaseException as error:
        system.registry.end_run(run_id, status="FAILED", note=f"{type(error).__name__}: {error}")
        raise
    metrics = {score.metric: score.value for score in learned.scores}
    system.registry.end_run(run_id, status="FINISHED", params=learned.params, metrics=metrics, report=learned.report)
    if learned.version is not None:
        system.registry.nominate(learned.version, actor=actor, reason=reason)
    return learned


def _learn(
    system: System,
    definition: Model,
    frame: TrainingFrame,
    *,
    run_id: str,
    tags: dict[str, str],
    progress: Progress,
) -> Learned:
    from everfit.artifact.package import write_package
    from everfit.gates.judge import judge
    from everfit.training.profile import profile_rows
    from everfit.training.refit import refit
    from everfit.training.split import holdout_rows
    from everfit.training.train import train

    settings = system.project.settings.training
    champion = _champion(system, definition.name)
    past = champion.manifest.lineage.trials if champion else ()
    candidate = train(definition, frame, settings=settings, warm_start=past, progress=progress)
    rows = holdout_rows(frame.data, candidate.split)
    lineage = _lineage(system, frame, candidate)
    profile = profile_rows(frame, candidate, extra=definition.slices)
    with TemporaryDirectory(prefix="learn-", dir=system.state) as folder:
        packaged = write_package(
            Path(folder, "candidate"), fitted=candidate.fitted, model=definition, rows=rows, lineage=lineage,
            signer=system.signer, project=system.project.root, profile=profile,
        )  # fmt: skip
        progress.start("Gates")
        evidence = _evidence(system, definition, frame, candidate, rows, packaged, champion)
        report = judge(definition, evidence)
        progress.finish("Gates", note="passed" if report.passed else "refused")
        version = None
        if report.passed:
            if settings.refit:
                packaged = write_package(
                    Path(folder, "refitted"), fitted=refit(definition, frame, candidate), model=definition, rows=rows,
                    lineage=replace(lineage, refitted=True), signer=system.signer, project=system.project.root,
                    profile=profile,
                )  # fmt: skip
            version = system.registry.register(
                definition.name,
                package=packaged.folder,
                digest=packaged.digest,
                run_id=run_id,
                tags=tags | _version_tags(packaged, candidate),
            )
    return Learned(
        model=definition.name,
        run_id=run_id,
        version=version,
        report=report,
        manifest=frame.manifest,
        split=candidate.split,
        params=dict(candidate.params),
        scores=candidate.scores,
        slices=candidate.slices,
        trials=len(candidate.trials),
    )


def _champion(system: System, model: str) -> Package | None:
    """The champion's package, verified; ``None`` if nothing was promoted yet."""
    from everfit.artifact.package import open_package

    version = system.registry.champion(model)
    if version is None:
        return None
    return open_package(system.registry.fetch(version), trust=system.trust)


@dataclass(frozen=True, kw_only=True)
class _ChampionAnswers:
    prediction: NDArray[np.float64] | None = None
    problem: str = ""
    stand_in: bool = False


def _evidence(
    system: System,
    definition: Model,
    frame: TrainingFrame,
    candidate: Candidate,
    rows: pl.DataFrame,
    packaged: Package,
    champion: Package | None,
) -> Evidence:
    from everfit.artifact.encode import RowEncoder
    from everfit.features.freshness import measure_freshness
    from everfit.training.evidence import gather_evidence

    version = system.registry.champion(definition.name)
    opponent = _champion_answers(system, champion, frame, candidate, rows)
    predictor, encoder = packaged.predictor(), RowEncoder(packaged.schema)

    def answer(row: Mapping[str, Any]) -> NDArray[np.float64]:
        import numpy as np

        return np.atleast_1d(np.asarray(predictor.predict_one(encoder.encode(row)), dtype=np.float64))

    return gather_evidence(
        definition,
        frame,
        candidate,
        settings=system.project.settings.training,
        champion=opponent.prediction,
        champion_version=version.version if version else None,
        champion_problem=opponent.problem,
        champion_stand_in=opponent.stand_in,
        freshness=measure_freshness(definition.views, system.reader, at=frame.manifest.end),
        predict_packaged=lambda: predictor.predict(packaged.transform(rows)),
        answer=answer,
    )


def _champion_answers(
    system: System, champion: Package | None, frame: TrainingFrame, candidate: Candidate, rows: pl.DataFrame
) -> _ChampionAnswers:
    """The champion's answers on the hold-out, or why there are none."""
    from everfit.artifact.encode import encode_frame
    from everfit.training.refit import fit_without_holdout

    if champion is None:
        return _ChampionAnswers()
    missing = [name for name in champion.schema.names if name not in rows.columns]
    if missing:
        names = ", ".join(missing)
        return _ChampionAnswers(problem=f"it needs {names}, which the model's definition no longer has")
    lineage, holdout_from = champion.manifest.lineage, candidate.split.holdout_from
    learnt_until = lineage.frame.as_of if lineage.refitted or lineage.split is None else lineage.split.holdout_from
    try:
        if learnt_until <= holdout_from:
            return _ChampionAnswers(prediction=champion.native().predict(champion.transform(rows)))
        recipe = system.recorded_project(champion).model(champion.schema.model)
        fitted = fit_without_holdout(recipe, frame, lineage, holdout_from=holdout_from)
        return _ChampionAnswers(prediction=fitted.predict(encode_frame(fitted.schema, rows)), stand_in=True)
    except EverfitError as error:
        return _ChampionAnswers(problem=str(error))


def _lineage(system: System, frame: TrainingFrame, candidate: Candidate) -> Lineage:
    from everfit.artifact.manifest import Lineage
    from everfit.artifact.provenance import code_version, library_versions

    return Lineage(
        frame=frame.manifest,
        params=dict(candidate.params),
        seed=candidate.seed,
        code=code_version(system.project.root),
        libraries=library_versions(),
        metric=candidate.metric,
        split=candidate.split,
        trials=candidate.trials,
        scores=candidate.scores,
        slices=candidate.slices,
    )


def _version_tags(packaged: Package, candidate: Candidate) -> dict[str, str]:
    code, score = packaged.manifest.lineage.code, candidate.scores[0]
    return {
        "everfit.code": code.digest,
        "everfit.commit": code.commit + ("+dirty" if code.dirty else ""),
        "everfit.form": packaged.manifest.form,
        "everfit.score": f"{score.metric} {score.value:.4f}",
        "everfit.seed": str(candidate.seed),
    }


def describe_views(system: System) -> tuple[ViewDescription, ...]:
    """All feature views of the project, with how far the online store has them."""
    from everfit.features.compute import feature_names, view_rows
    from everfit.features.lookup import materialized_until

    return tuple(
        ViewDescription(
            name=view.name,
            keys=view.keys,
            source=view.source.name,
            ttl=format_duration(view.time_to_live),
            features=feature_names(view, view_rows(view, system.reader)),
            materialized_until=materialized_until(view, system.online),
            description=view.description,
        )
        for view in system.project.views.values()
    )


def materialize(
    system: System,
    views: Sequence[str] | None = None,
    *,
    until: datetime | None = None,
    full: bool = False,
    progress: Progress = SILENT,
) -> tuple[MaterializedView, ...]:
    """Bring the online store up to date.

    Args:
        system: The parts.
        views: Names of feature views; all of them by default.
        until: Nothing known later is written; now by default.
        full: Write everything again, not only what is new.
        progress: Hears how far it is.
    """
    from everfit.features.materialize import materialize as run

    chosen = [system.project.view(name) for name in views or system.project.views]
    return run(chosen, system.reader, system.online, until=until or system.clock.now(), full=full, progress=progress)


def online_features(
    system: System, view: str, key: Sequence[str], *, at: datetime | None = None
) -> dict[str, object] | None:
    """What the online store answers for one entity at an instant, now by default; ``None`` if no row is usable."""
    from everfit.features.lookup import look_up

    return look_up(system.project.view(view), key, system.online, at=at or system.clock.now())


def promote(
    system: System,
    model: str,
    which: int | str,
    *,
    canary: float | None = None,
    shadow: bool = False,
    actor: str,
    reason: str,
) -> ModelVersion:
    """Let a version answer: as the champion, for a share of the ids, or in shadow.

    The package is verified first. For a champion the alias moves before the deployment record, and doing it again
    mends whatever a crash left between the two; a canary and a shadow only take part in the deployment, until a
    champion is promoted, were it the same again: it answers alone.

    Args:
        system: The parts.
        model: Its name.
        which: Version or alias.
        canary: Answer this share of the ids, above 0 up to 1, and leave the rest to the champion.
        shadow: Only be asked as well, after the answer was sent.
        actor: Who asked, for the record.
        reason: Why, for the record.

    Raises:
        UnknownVersionError: If there is no such version, or no champion beside whom it could answer.
        PackageError: If the package must not be used.
    """
    from everfit.artifact.package import open_package

    chosen = system.registry.version(model, which)
    open_package(system.registry.fetch(chosen), trust=system.trust)
    if canary is None and not shadow:
        return _deploy(system, system.registry.promote(model, chosen.version, actor=actor, reason=reason))
    deployed = _deployed(system, chosen)

    def decide(present: ModelDeployment | None) -> ModelDeployment:
        if present is None:
            raise UnknownVersionError(
                "only beside a champion can another version answer",
                value=model,
                remedy=f"Promote one first: everfit promote {model} VERSION.",
            )
        if shadow:
            return replace(present, shadow=deployed)
        return replace(present, canary=deployed, canary_share=canary)

    system.deployment.change(model, decide, changed_at=system.clock.now())
    return chosen


def roll_back(system: System, model: str, *, actor: str, reason: str) -> ModelVersion:
    """Make the previous champion the champion again and let it serve."""
    return _deploy(system, system.registry.roll_back(model, actor=actor, reason=reason))


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
    joined, reports = _answers(system, definition, now)
    progress.finish("Reading", note=f"{joined.height:,} answers")
    progress.start("Comparing")
    present = system.deployment.read()
    deployed = next((each for each in present.models if each.model == definition.name), None) if present else None
    versions = sorted(set(joined["version"].to_list()))
    packages = _packages(system, definition.name, versions, deployed)
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


def _answers(system: System, definition: Model, now: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every answer with what became of it, and the outcomes as they were reported."""
    import polars as pl

    from everfit.features.labels import scan_labels
    from everfit.journal.outcomes import OUTCOME, OUTCOME_KNOWN_AT, join_labels, join_outcomes
    from everfit.journal.tables import scan_outcomes, scan_predictions

    name = definition.name
    predictions = scan_predictions(system.lake, system.journal, name).collect()
    if predictions.is_empty():
        raise EmptyWindowError(
            "a model must have answered before it can be watched", value=name, remedy="Serve it: everfit serve."
        )
    outcomes = scan_outcomes(system.lake, system.journal, name).collect()
    reported = join_outcomes(predictions.lazy(), outcomes.lazy(), now).collect()
    labels = scan_labels(definition, system.reader, as_of=now).filter(pl.col("id").is_in(predictions["id"].implode()))
    found = labels.collect()
    if found.is_empty():
        return reported, outcomes.filter(pl.col("recorded_at") <= now).select("id", "value")
    texts = found.with_columns(pl.col("value").cast(pl.String))
    labelled = join_labels(predictions.lazy(), texts.lazy(), as_of=now).collect()
    # What was reported to the service counts before what the source says.
    theirs = labelled.select("id", "route", *(pl.col(each).alias(f"__{each}") for each in (OUTCOME, OUTCOME_KNOWN_AT)))
    both = reported.join(theirs, on=["id", "route"], how="left", maintain_order="left")
    return (
        both.with_columns(
            pl.coalesce(OUTCOME, f"__{OUTCOME}").alias(OUTCOME),
            pl.coalesce(OUTCOME_KNOWN_AT, f"__{OUTCOME_KNOWN_AT}").alias(OUTCOME_KNOWN_AT),
        ),
        pl.concat([outcomes.filter(pl.col("recorded_at") <= now).select("id", "value"), texts.select("id", "value")]),
    )


def _packages(
    system: System, model: str, versions: Sequence[int], deployed: ModelDeployment | None
) -> dict[int, Package]:
    """The packages of the versions that answered; one that is gone, or that nobody trusts, is left out."""
    from everfit.artifact.package import open_package

    folders = {each.version: system.deployment.folder_of(each) for each in deployed.taking_part} if deployed else {}
    found = {}
    for version in versions:
        try:
            folder = folders.get(version) or system.registry.fetch(system.registry.version(model, version))
            found[version] = open_package(folder, trust=system.trust)
        except EverfitError:
            continue
    return found


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


def _deploy(system: System, version: ModelVersion) -> ModelVersion:
    """Let a champion answer alone: who was tried beside the last one was tried against that."""
    deployed = _deployed(system, version)
    system.deployment.change(
        version.model,
        lambda present: (
            present
            if present and (present.champion, present.canary, present.shadow) == (deployed, None, None)
            else ModelDeployment(model=version.model, champion=deployed, loaded=present is None or present.loaded)
        ),
        changed_at=system.clock.now(),
    )
    return version


def _deployed(system: System, version: ModelVersion) -> Deployed:
    folder = system.registry.fetch(version)
    within = folder.relative_to(system.state) if folder.is_relative_to(system.state) else folder
    return Deployed(version=version.version, digest=version.digest, folder=str(within))


def parity(
    system: System,
    model: str | None = None,
    *,
    since: datetime | None = None,
    limit: int = 10_000,
    progress: Progress = SILENT,
) -> ParityReport:
    """Compute the features of recorded predictions again, from history, and compare them with those that were served.

    Args:
        system: The parts.
        model: Its name; may be left out where there is only one.
        since: What was asked earlier is left out.
        limit: Only so many predictions are looked at, those recorded last.
        progress: Hears how far it is.

    Raises:
        EmptyWindowError: If nothing was asked, or no version that answered is still there.
        StoreError: If the log or the lake cannot be read.
        SourceError: If a view's source cannot be read.
    """
    import polars as pl

    from everfit.core.evidence import ID, TIME
    from everfit.features.parity import compare_features
    from everfit.journal.tables import scan_predictions

    definition = system.project.model(model)
    progress.start("Reading")
    answers = scan_predictions(system.lake, system.journal, definition.name)
    if since is not None:
        answers = answers.filter(pl.col("event_time") >= since)
    newest = answers.top_k(limit, by="recorded_at").collect()
    progress.finish("Reading", note=f"{newest.height:,} answers")
    versions = sorted(set(newest["version"].to_list()))
    present = system.deployment.read()
    deployed = next((each for each in present.models if each.model == definition.name), None) if present else None
    packages = _packages(system, definition.name, versions, deployed)
    if not packages:
        raise EmptyWindowError(
            "there must be recorded answers of a version that is still there",
            value=versions,
            place=definition.name,
            remedy="Serve it: everfit serve." if newest.is_empty() else "",
        )
    fields = [
        (pl.col(f"request.{name}") if f"request.{name}" in newest.columns else pl.lit(None)).alias(name)
        for name in definition.request
    ]
    return compare_features(
        definition,
        system.reader,
        newest.select(pl.col("id").alias(ID), "version", pl.col("event_time").alias(TIME), *fields, r"^feature\..*$"),
        {version: _looked_up_or_computed(package) for version, package in packages.items()},
        as_of=system.clock.now(),
        progress=progress,
    )


def _looked_up_or_computed(package: Package) -> set[str]:
    """The features that a version does not take from the request as they are."""
    return set(package.schema.names).difference(field.name for field in package.schema.request)
