"""Step ``training``: a smoke training, and predictions of its package by the path that serves."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from everfit.artifact.package import open_package
from everfit.commands.trial.release_trial import ReleaseTrial
from everfit.core.clock import to_us
from everfit.core.errors import EmptyWindowError, LabelError
from everfit.core.evidence import TrainingFrame
from everfit.core.records import GateReport, Verdict
from everfit.core.release import StepOutcome
from everfit.core.release_trial import TrialResult
from everfit.definitions.model import Model
from everfit.features.materialize import materialize
from everfit.gates.custom import is_broken
from everfit.gates.model_gates import Determinism, MaxLatency, Reload, Robustness
from everfit.loop.candidate_pipeline import train_candidate
from everfit.loop.training_record import JudgedCandidate
from everfit.serving.inference.execution import LocalExecution
from everfit.serving.inference.served_model import ServedModel
from everfit.serving.protocols.json import RequestDecoder
from everfit.system import System

_PROPERTIES = frozenset({Reload.name, Determinism.name, Robustness.name})
"""Gates whose verdict depends on the code and not on the sample."""
_TOO_SLOW = 3.0
"""Factor over the limit of latency at which the code is refused; less may be another load of the machine."""
_SERVED_ROWS = 32


def run(trial: ReleaseTrial) -> TrialResult:
    """Train and package every model on a sample, have the gates judge it, and predict with it.

    The code is refused for what fails on any rows: a trainer that raises, predictions that are not finite, a package
    that does not predict the same. How good the model is, training on all rows decides.
    """
    system = _with_little_tuning(trial.system)
    reports, sentences, faults = [], [], []
    for model in system.project.models.values():
        candidate = _train(trial, system, model)
        reports.append(candidate.report)
        faults += [f"{model.name}, {verdict.gate}: {verdict.sentence}" for verdict in _faults(candidate.report)]
        if not faults:
            _predict(system, model, Path(candidate.folder), trial.frame(model))
            sentences.append(_describe(candidate))
    if not reports:
        return TrialResult(step="training", outcome="skipped", sentence="The project defines no model.")
    outcome: StepOutcome = "refused" if faults else "passed"
    return TrialResult(step="training", outcome=outcome, sentence=" ".join(faults or sentences), reports=tuple(reports))


def _with_little_tuning(system: System) -> System:
    """Return the system with settings under which one training shows what fails on any."""
    project = system.project
    training = msgspec.structs.replace(project.settings.training, trials=1, workers=1, bootstrap=100, refit=False)
    settings = msgspec.structs.replace(project.settings, training=training)
    return dataclasses.replace(system, project=dataclasses.replace(project, settings=settings))


def _train(trial: ReleaseTrial, system: System, model: Model) -> JudgedCandidate:
    folder = trial.folder / "training" / model.name
    # A folder of an earlier attempt holds a package, and none is overwritten.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        return train_candidate(system, model, trial.frame(model), champion=None, into=folder)
    except (EmptyWindowError, LabelError):
        # The sample was too small for its three parts, or a part had one class only.
        return train_candidate(system, model, trial.whole_frame(model), champion=None, into=folder)


def _faults(report: GateReport) -> Iterable[Verdict]:
    """Return the failed verdicts that refuse the code."""
    for verdict in report.failures:
        slow = verdict.gate == MaxLatency.name and _ratio(verdict) > _TOO_SLOW
        if verdict.gate in _PROPERTIES or slow or is_broken(verdict):
            yield verdict


def _ratio(verdict: Verdict) -> float:
    """Return a verdict's value in units of its threshold; infinite without a value, which could not be measured."""
    return verdict.value / verdict.threshold if verdict.value is not None and verdict.threshold else float("inf")


def _predict(system: System, model: Model, folder: Path, frame: TrainingFrame) -> None:
    """Predict the newest rows from JSON and the online store, as the service does.

    Raises :class:`InvalidRequestError` if a row is refused or has no finite prediction, and what materializing raises.
    """
    now = system.clock.now()
    materialize(model.views, system.reader, system.online, until=now)
    package = open_package(folder, trust=system.trust)
    execution = LocalExecution(package.predictor(), package.row_pipeline())
    served = ServedModel(package, execution, version=1, online=system.online)
    newest = frame.data.select(model.request).tail(_SERVED_ROWS)
    body = msgspec.json.encode({"inputs": newest.to_dicts()})
    rows = RequestDecoder(served.schema, max_rows=_SERVED_ROWS).decode(body).rows
    at_once = served.predict(rows, now_us=to_us(now)).values
    alone = served.predict(rows[:1], now_us=to_us(now)).values
    assert len(at_once) == len(rows)
    assert np.isfinite(np.asarray([*at_once, *alone], dtype=np.float64)).all()


def _describe(candidate: JudgedCandidate) -> str:
    score, outcomes = candidate.scores[0], Counter(verdict.outcome for verdict in candidate.report.verdicts)
    gates = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items(), key=lambda item: -item[1]))
    text = f"{candidate.model}: {score.metric} {score.value:.4g} on {score.rows:,} rows of a sample; gates: {gates}; "
    text += f"it serves {candidate.runtime}."
    failed = "; ".join(f"{verdict.gate}: {verdict.sentence.rstrip('.')}" for verdict in candidate.report.failures)
    return f"{text} On all rows these may pass: {failed}." if failed else text
