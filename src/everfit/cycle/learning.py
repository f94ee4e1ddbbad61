"""From an order to a registered version: frame, training, gates, registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from everfit.core.errors import EverfitError
from everfit.core.progress import SILENT, Progress
from everfit.core.records import (
    FrameManifest,
    GateReport,
    ModelVersion,
    Score,
    SliceScore,
    Split,
)

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from everfit.artifact.manifest import Lineage
    from everfit.artifact.package import Package
    from everfit.core.evidence import Evidence, TrainingFrame
    from everfit.cycle.system import System
    from everfit.definitions.model import Model
    from everfit.training.candidate import Candidate


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
