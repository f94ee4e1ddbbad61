"""The one training pipeline, by hand and in the loop: frame, candidate, gates, refit.

It uses neither registry nor ledger, and runs in the training process.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from msgspec import structs
from numpy.typing import NDArray

from everfit.artifact.encode import encode_inputs, encode_row
from everfit.artifact.manifest import Lineage
from everfit.artifact.package import Package, open_package
from everfit.artifact.package_writer import write_package
from everfit.artifact.portability import require_portable
from everfit.artifact.provenance import code_version, library_versions
from everfit.artifact.schema import InputSchema, request_meaning
from everfit.core.class_names import quoted
from everfit.core.errors import EverfitError
from everfit.core.evidence import Evidence, TrainingFrame
from everfit.core.progress import SILENT, Progress
from everfit.core.user_code import describe_raise
from everfit.definitions.model import Model
from everfit.features.freshness import measure_freshness
from everfit.features.history import build_frame
from everfit.gates.judge import judge
from everfit.loop.training_record import ChampionPackage, JudgedCandidate, TrainingRequest
from everfit.system import System
from everfit.training.candidate import Candidate, ChampionPredictions
from everfit.training.evidence import gather_evidence
from everfit.training.profile import profile_rows
from everfit.training.refit import fit_without_holdout, refit
from everfit.training.split import holdout_rows
from everfit.training.train import train

_log = logging.getLogger(__name__)


def build_candidate(
    system: System, request: TrainingRequest, *, into: Path, progress: Progress = SILENT
) -> JudgedCandidate:
    """Build the training frame of a request, then train and judge a candidate, with its packages in a folder.

    Raises :class:`DataError` if the rows are not what was declared, or too few, and what :func:`train_candidate` does.
    """
    definition = system.project.model(request.model)
    against = "no champion" if request.champion is None else f"champion {request.champion.version}"
    _log.info("%s: training as of %s, against %s", request.model, f"{request.as_of:%Y-%m-%d %H:%M:%S} UTC", against)
    frame = build_frame(
        definition, system.reader, start=request.start, end=request.end, as_of=request.as_of, progress=progress
    )
    _log.info("%s: %s rows, %s with a label", request.model, frame.manifest.rows, frame.manifest.labelled)
    return train_candidate(system, definition, frame, champion=request.champion, into=into, progress=progress)


def train_candidate(
    system: System,
    definition: Model,
    frame: TrainingFrame,
    *,
    champion: ChampionPackage | None,
    into: Path,
    progress: Progress = SILENT,
) -> JudgedCandidate:
    """Train a candidate, package it, judge it and, if every gate passes, refit it on all rows.

    Raises :class:`TrainingError` if the trainer fails on every trial, and :class:`PackageError` if the champion's
    package must not be used.
    """
    settings = system.project.settings.training
    incumbent = open_package(Path(champion.folder), trust=system.trust) if champion else None
    past = incumbent.manifest.lineage.trials if incumbent else ()
    candidate = train(definition, frame, settings=settings, warm_start=past, progress=progress)
    rows = holdout_rows(frame.data, candidate.split)
    lineage = _lineage(system, frame, candidate)
    package = partial(
        write_package,
        model=definition,
        rows=rows,
        signer=system.signer,
        project=system.project.root,
        profile=profile_rows(frame, candidate, extra=definition.slices),
    )
    packaged = package(into / "candidate", fitted=candidate.fitted, lineage=lineage)
    require_portable(packaged)
    progress.start("Gates")
    predictions = _champion_predictions(system, champion, incumbent, frame, candidate, rows)
    report = judge(definition, _evidence(system, definition, frame, candidate, rows, packaged, predictions))
    progress.finish("Gates", note="passed" if report.passed else "refused")
    if report.passed and settings.refit:
        refitted, lineage = refit(definition, frame, candidate), structs.replace(lineage, refitted=True)
        packaged = package(into / "refitted", fitted=refitted, lineage=lineage)
    judged = JudgedCandidate(
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
        runtime=packaged.describe_runtime(),
    )
    _log_details(judged)
    return judged


def _log_details(candidate: JudgedCandidate) -> None:
    """Write what a reader of the training's log looks for: parameters, scores, and each gate's verdict."""
    params = ", ".join(f"{name} {value}" for name, value in candidate.params.items())
    scores = ", ".join(f"{score.metric} {score.value:.4g} on {score.rows:,} rows" for score in candidate.scores)
    _log.info("%s: %s trials, chosen: %s", candidate.model, candidate.trials, params or "no parameters")
    _log.info("%s: hold-out: %s", candidate.model, scores)
    for verdict in candidate.report.verdicts:
        _log.info("%s: gate %s %s: %s", candidate.model, verdict.gate, verdict.outcome, verdict.sentence)


def _evidence(
    system: System,
    definition: Model,
    frame: TrainingFrame,
    candidate: Candidate,
    rows: pl.DataFrame,
    packaged: Package,
    champion: ChampionPredictions,
) -> Evidence:
    predictor, encode = packaged.predictor(), encode_row(packaged.schema)

    def predict_one(row: Mapping[str, Any]) -> NDArray[np.float64]:
        prediction = np.asarray(predictor.predict_one(encode(row)), dtype=np.float64)
        return prediction.reshape((1, -1) if definition.task == "multiclass" else 1)

    return gather_evidence(
        definition,
        frame,
        candidate,
        settings=system.project.settings.training,
        champion=champion,
        freshness=measure_freshness(definition.views, system.reader, at=frame.manifest.end),
        predict_packaged=lambda: predictor.predict(packaged.transform(rows)),
        runtime=predictor.runtime,
        arithmetic=packaged.manifest.proof_of(predictor.runtime).arithmetic,
        answer=predict_one,
    )


def _champion_predictions(
    system: System,
    named: ChampionPackage | None,
    champion: Package | None,
    frame: TrainingFrame,
    candidate: Candidate,
    rows: pl.DataFrame,
) -> ChampionPredictions:
    """Return the champion's predictions on the hold-out, or the reason why there are none."""
    if named is None or champion is None:
        return ChampionPredictions()
    schema = champion.schema
    found = ChampionPredictions(version=named.version, learnt=schema.classes, request=request_meaning(schema))
    if problem := _incomparable(candidate.fitted.schema, schema, rows):
        return replace(found, problem=problem)
    lineage, holdout_from = champion.manifest.lineage, candidate.split.holdout_from
    learnt_until = lineage.frame.as_of if lineage.refitted or lineage.split is None else lineage.split.holdout_from
    try:
        if learnt_until <= holdout_from:
            prediction = champion.native().predict(champion.transform(rows))
            return replace(found, prediction=prediction, classes=schema.classes)
        recipe = system.recorded_project(champion).model(schema.model)
        fitted = fit_without_holdout(recipe, frame, lineage, features=schema.names, holdout_from=holdout_from)
        prediction = fitted.predict(encode_inputs(fitted.schema, rows))
        return replace(found, prediction=prediction, refitted=True, classes=fitted.schema.classes)
    except EverfitError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001 - whatever the champion's estimator raises on rows of today
        problem = f"it raised {describe_raise(error)}"
    return replace(found, problem=problem)


def _incomparable(candidate: InputSchema, champion: InputSchema, rows: pl.DataFrame) -> str:
    """Return the reason why a champion's predictions on a candidate's rows cannot be compared; empty if they can."""
    if candidate.task != champion.task:
        return f"it is a {champion.task} model, and this one is {candidate.task}"
    if candidate.task == "binary" and set(candidate.classes) != set(champion.classes):
        return f"its label takes the values {quoted(champion.classes)}, and this one's {quoted(candidate.classes)}"
    missing = [name for name in champion.names if name not in rows.columns]
    return f"it needs {', '.join(missing)}, which the model's definition no longer has" if missing else ""


def _lineage(system: System, frame: TrainingFrame, candidate: Candidate) -> Lineage:
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
        "everfit.form": packaged.manifest.runtime,
        "everfit.score": f"{score.metric} {score.value:.4f}",
        "everfit.seed": str(candidate.seed),
    }
