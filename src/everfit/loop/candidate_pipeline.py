"""A candidate and its gates: from a training frame to a package, without the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from everfit.core.class_names import quoted
from everfit.core.errors import EverfitError
from everfit.core.progress import SILENT, Progress
from everfit.core.records import FrameManifest, GateReport, Score, SliceScore, Split
from everfit.core.user_code import describe_raise

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from everfit.artifact.manifest import Lineage
    from everfit.artifact.package import Package
    from everfit.artifact.schema import InputSchema
    from everfit.core.class_names import ClassValue
    from everfit.core.evidence import Evidence, TrainingFrame
    from everfit.definitions.model import Model
    from everfit.system import System
    from everfit.training.candidate import Candidate


class Opponent(Struct, frozen=True, kw_only=True):
    """The champion that a candidate must beat."""

    version: int
    folder: str
    """Its package's."""


class Made(Struct, frozen=True, kw_only=True):
    """A candidate with its verdicts, before anything is registered."""

    model: str
    report: GateReport
    manifest: FrameManifest
    split: Split
    params: dict[str, str | int | float | bool | None]
    scores: tuple[Score, ...]
    slices: tuple[SliceScore, ...]
    trials: int
    folder: str
    """The package that may be registered if the gates passed; the candidate's own otherwise."""
    digest: str
    tags: dict[str, str]
    """Of its lineage, for the registry."""
    runtime: str = ""
    """Description of the runtime, as of :meth:`everfit.artifact.package.Package.runtime`."""


def make_candidate(
    system: System,
    definition: Model,
    frame: TrainingFrame,
    *,
    opponent: Opponent | None,
    into: Path,
    progress: Progress = SILENT,
) -> Made:
    """Train a candidate, package it, test it and, if every gate passes, refit it on everything.

    Args:
        system: The parts; its registry is not asked.
        definition: The model's.
        frame: What it is trained on.
        opponent: The champion, if there is one.
        into: A folder for the packages.
        progress: Hears how far it is.

    Raises:
        TrainingError: If the trainer fails on every trial.
        PackageError: If the champion's package must not be used.
    """
    from everfit.artifact.package import open_package, write_package
    from everfit.artifact.portability import require_portable
    from everfit.gates.judge import judge
    from everfit.training.profile import profile_rows
    from everfit.training.refit import refit
    from everfit.training.split import holdout_rows
    from everfit.training.train import train

    settings = system.project.settings.training
    champion = open_package(Path(opponent.folder), trust=system.trust) if opponent else None
    past = champion.manifest.lineage.trials if champion else ()
    candidate = train(definition, frame, settings=settings, warm_start=past, progress=progress)
    rows = holdout_rows(frame.data, candidate.split)
    lineage = _lineage(system, frame, candidate)
    profile = profile_rows(frame, candidate, extra=definition.slices)
    packaged = write_package(
        into / "candidate", fitted=candidate.fitted, model=definition, rows=rows, lineage=lineage,
        signer=system.signer, project=system.project.root, profile=profile,
    )  # fmt: skip
    require_portable(packaged)
    progress.start("Gates")
    evidence = _evidence(system, definition, frame, candidate, rows, packaged, champion, opponent)
    report = judge(definition, evidence)
    progress.finish("Gates", note="passed" if report.passed else "refused")
    if report.passed and settings.refit:
        packaged = write_package(
            into / "refitted", fitted=refit(definition, frame, candidate), model=definition, rows=rows,
            lineage=replace(lineage, refitted=True), signer=system.signer, project=system.project.root,
            profile=profile,
        )  # fmt: skip
    return Made(
        model=definition.name,
        report=report,
        manifest=frame.manifest,
        split=candidate.split,
        params=dict(candidate.params),
        scores=candidate.scores,
        slices=candidate.slices,
        trials=len(candidate.trials),
        folder=str(packaged.folder),
        digest=packaged.digest,
        tags=_version_tags(packaged, candidate),
        runtime=packaged.runtime(),
    )


@dataclass(frozen=True, kw_only=True)
class _ChampionAnswers:
    prediction: NDArray[np.float64] | None = None
    problem: str = ""
    stand_in: bool = False
    classes: tuple[ClassValue, ...] = ()
    """In the order of the prediction's columns."""


def _evidence(
    system: System,
    definition: Model,
    frame: TrainingFrame,
    candidate: Candidate,
    rows: pl.DataFrame,
    packaged: Package,
    champion: Package | None,
    opponent: Opponent | None,
) -> Evidence:
    from everfit.artifact.encode import encode_row
    from everfit.artifact.schema import request_meaning
    from everfit.features.freshness import measure_freshness
    from everfit.training.evidence import gather_evidence

    answers = _champion_answers(system, champion, frame, candidate, rows)
    predictor, encode = packaged.predictor(), encode_row(packaged.schema)

    def answer(row: Mapping[str, Any]) -> NDArray[np.float64]:
        import numpy as np

        prediction = np.asarray(predictor.predict_one(encode(row)), dtype=np.float64)
        return prediction.reshape((1, -1) if definition.task == "multiclass" else 1)

    return gather_evidence(
        definition,
        frame,
        candidate,
        settings=system.project.settings.training,
        champion=answers.prediction,
        champion_version=opponent.version if opponent else None,
        champion_problem=answers.problem,
        champion_stand_in=answers.stand_in,
        champion_classes=answers.classes,
        champion_learnt=champion.schema.classes if champion else (),
        champion_request=request_meaning(champion.schema) if champion else None,
        freshness=measure_freshness(definition.views, system.reader, at=frame.manifest.end),
        predict_packaged=lambda: predictor.predict(packaged.transform(rows)),
        runtime=predictor.form,
        arithmetic=packaged.manifest.arithmetic_of(predictor.form),
        answer=answer,
    )


def _champion_answers(
    system: System, champion: Package | None, frame: TrainingFrame, candidate: Candidate, rows: pl.DataFrame
) -> _ChampionAnswers:
    """The champion's answers on the hold-out, or why there are none."""
    from everfit.artifact.encode import encode_inputs
    from everfit.training.refit import fit_without_holdout

    if champion is None:
        return _ChampionAnswers()
    theirs = champion.schema
    if problem := _incomparable(candidate.fitted.schema, theirs, rows):
        return _ChampionAnswers(problem=problem)
    lineage, holdout_from = champion.manifest.lineage, candidate.split.holdout_from
    learnt_until = lineage.frame.as_of if lineage.refitted or lineage.split is None else lineage.split.holdout_from
    try:
        if learnt_until <= holdout_from:
            prediction = champion.native().predict(champion.transform(rows))
            return _ChampionAnswers(prediction=prediction, classes=theirs.classes)
        recipe = system.recorded_project(champion).model(champion.schema.model)
        fitted = fit_without_holdout(recipe, frame, lineage, holdout_from=holdout_from)
        prediction = fitted.predict(encode_inputs(fitted.schema, rows))
        return _ChampionAnswers(prediction=prediction, stand_in=True, classes=fitted.schema.classes)
    except EverfitError as error:
        return _ChampionAnswers(problem=str(error))
    except Exception as error:  # noqa: BLE001 - whatever the champion's estimator raises on rows of today
        return _ChampionAnswers(problem=f"it raised {describe_raise(error)}")


def _incomparable(ours: InputSchema, theirs: InputSchema, rows: pl.DataFrame) -> str:
    """The reason why a champion's answers mean nothing on a candidate's rows; empty if they do."""
    if ours.task != theirs.task:
        return f"it is a {theirs.task} model, and this one is {ours.task}"
    if ours.task == "binary" and set(ours.classes) != set(theirs.classes):
        return f"its label takes the values {quoted(theirs.classes)}, and this one's {quoted(ours.classes)}"
    missing = [name for name in theirs.names if name not in rows.columns]
    return f"it needs {', '.join(missing)}, which the model's definition no longer has" if missing else ""


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
        labels=candidate.labels,
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
