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

from everfit.artifact.encode import encode_row
from everfit.artifact.manifest import Lineage
from everfit.artifact.package import Package, open_package
from everfit.artifact.package_writer import write_package
from everfit.artifact.portability import require_portable
from everfit.artifact.provenance import library_versions
from everfit.core.design_record import DesignRecord
from everfit.core.evidence import Evidence, TrainingFrame
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.design.record import design_digest
from everfit.features.freshness import measure_freshness
from everfit.features.history import build_frame
from everfit.gates.judge import judge
from everfit.loop.champion_predictions import champion_predictions
from everfit.loop.declared_design import require_design
from everfit.loop.training_record import ChampionPackage, JudgedCandidate, TrainingRequest
from everfit.system import System
from everfit.training.candidate import Candidate, ChampionPredictions
from everfit.training.evidence import gather_evidence
from everfit.training.profile import profile_rows
from everfit.training.recipe import better_recipe
from everfit.training.refit import refit
from everfit.training.split import holdout_rows
from everfit.training.train import train
from everfit.training.window_choice import choose_history

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
    frame = replace(frame, changed_at=request.changed_at)
    rows, labelled = frame.manifest.rows, frame.manifest.labelled
    history = "all history" if definition.history is None else str(definition.history)
    _log.info("%s: %s rows of %s, %s with a label", request.model, rows, history, labelled)
    if request.start is None:
        frame = choose_history(definition, frame, settings=system.project.settings.training, progress=progress)
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

    Raises :class:`TrainingError` if the trainer fails on every trial, :class:`PackageError` if the champion's package
    must not be used, and :class:`DefinitionError` if the model's design record cannot be.
    """
    design = require_design(system.project, definition)
    settings = system.project.settings.training
    incumbent = open_package(Path(champion.folder), trust=system.trust) if champion else None
    past = incumbent.manifest.lineage.trials if incumbent else ()
    candidate = train(definition, frame, settings=settings, warm_start=past, progress=progress)
    predictions = ChampionPredictions()
    if champion is not None and incumbent is not None:
        progress.start("comparing with the champion")
        predictions = champion_predictions(system, champion.version, incumbent, frame, candidate, scratch=into)
        theirs = incumbent.manifest.lineage
        candidate = better_recipe(definition, frame, candidate, predictions, theirs, settings=settings)
        progress.finish("comparing with the champion")
    rows = holdout_rows(frame.data, candidate.split)
    lineage = _lineage(system, frame, candidate, design)
    package = partial(
        write_package,
        model=definition,
        rows=rows,
        signer=system.signer,
        project=system.project.code,
        profile=profile_rows(frame, candidate, extra=definition.slices),
    )
    packaged = package(into / "candidate", fitted=candidate.fitted, lineage=lineage)
    require_portable(packaged)
    progress.start("Gates")
    report = judge(definition, _evidence(system, definition, frame, candidate, rows, packaged, predictions), design)
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


def _lineage(system: System, frame: TrainingFrame, candidate: Candidate, design: DesignRecord | None) -> Lineage:
    return Lineage(
        frame=frame.manifest,
        params=dict(candidate.params),
        seed=candidate.seed,
        code=system.code_version(),
        release=system.project.release,
        design="" if design is None else design_digest(design),
        libraries=library_versions(),
        metric=candidate.metric,
        labels=candidate.labels,
        half_life=candidate.half_life,
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
