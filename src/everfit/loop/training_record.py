"""Records of a training, by hand or by the loop: its request, its outcome, and the run and version that it leads to.

Recording again after a crash changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from everfit.core.event_log import log_event
from everfit.core.finding import Incident
from everfit.core.records import FrameManifest, GateReport, ModelVersion, Score, SliceScore, TimeSplit
from everfit.system import System

_REMEMBERED = timedelta(days=90)
"""Chosen: a change is part of the history that is trained on by then, and the hold-out is after it."""

_log = logging.getLogger(__name__)


class ChampionPackage(Struct, frozen=True, kw_only=True):
    """The champion that a candidate must beat."""

    version: int
    folder: str
    """Of its package."""


class TrainingRequest(Struct, frozen=True, kw_only=True):
    """Input of a training, fixed when it begins."""

    model: str
    order: int | None = None
    """``None`` for a training by hand, which is given a number at its end."""
    release: int = 0
    """Number of the release in whose code and environment it is trained; 0 for the project's own folder."""
    start: datetime | None = None
    """First event time, inclusive; by default that of the model's training window, or else all history."""
    end: datetime | None = None
    """Last event time, exclusive; ``as_of`` by default."""
    as_of: datetime
    """Nothing that became known later is used."""
    champion: ChampionPackage | None = field(default=None, name="opponent")
    changed_at: datetime | None = None
    """Event time at which a version became worse; see :attr:`everfit.core.evidence.TrainingFrame.changed_at`."""


class JudgedCandidate(Struct, frozen=True, kw_only=True):
    """A candidate with its gate report, before anything is registered."""

    model: str
    report: GateReport
    manifest: FrameManifest
    split: TimeSplit
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


class TrainingOutcome(Struct, frozen=True, kw_only=True):
    """A candidate, or the reason why there is none."""

    candidate: JudgedCandidate | None = field(default=None, name="made")
    problem: str = field(default="", name="trouble")


class RegisteredOutcome(Struct, frozen=True, kw_only=True):
    """A training's result as it is on record."""

    run_id: str
    state: Literal["registered", "refused", "failed"]
    sentence: str
    version: ModelVersion | None = None
    """``None`` unless every gate passed."""


def begin_training(
    system: System,
    model: str,
    *,
    order: int | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    as_of: datetime | None = None,
) -> TrainingRequest:
    """Fix the champion that a training must beat, and the instant as of which data is read."""
    version, champion = system.registry.champion(model), None
    if version is not None:
        champion = ChampionPackage(version=version.version, folder=str(system.registry.fetch(version)))
    now = system.clock.now()
    return TrainingRequest(
        model=model,
        order=order,
        release=system.project.release,
        start=start,
        end=end,
        as_of=as_of or now,
        champion=champion,
        changed_at=last_change(system, model, as_of or now),
    )


def last_change(system: System, model: str, now: datetime) -> datetime | None:
    """Return when the world changed last, by the incidents in the ledger; see :func:`changed_at`."""
    return changed_at(system.incidents.of(model, since=now - _REMEMBERED, as_of=now), now)


def changed_at(incidents: Sequence[Incident], now: datetime) -> datetime | None:
    """Return when the world changed last: the instant since which a version had become worse, by its incident.

    ``None`` if there was no such incident, or the last one ended too long ago to say anything about what to learn from.
    """
    found = [
        incident.finding.since
        for incident in incidents
        if incident.finding.kind == "performance_drop"
        and incident.finding.since is not None
        and (incident.resolved_at is None or now - incident.resolved_at <= _REMEMBERED)
    ]
    return max(found, default=None)


def register_outcome(
    system: System,
    request: TrainingRequest,
    outcome: TrainingOutcome,
    *,
    tags: Mapping[str, str],
    actor: str,
    reason: str,
    started_at: datetime,
) -> RegisteredOutcome:
    """Record a training: a run with tags, and a version that is the challenger if every gate passed."""
    registry, candidate = system.registry, outcome.candidate
    tags = {**tags, "everfit.reason": reason, "everfit.actor": actor}
    if candidate is not None:
        tags["everfit.data"] = candidate.manifest.digest
    run_id = None if request.order is None else registry.run_of_order(request.model, request.order)
    run_id = run_id or registry.start_run(request.model, tags=tags, started_at=started_at)
    if candidate is None:
        registry.end_run(run_id, status="FAILED", note=outcome.problem)
        return RegisteredOutcome(run_id=run_id, state="failed", sentence=f"The training failed: {outcome.problem}")
    version = None
    if candidate.report.passed:
        package, tags = Path(candidate.folder), tags | candidate.tags
        version = registry.register(request.model, package=package, digest=candidate.digest, run_id=run_id, tags=tags)
    metrics = {score.metric: score.value for score in candidate.scores}
    registry.end_run(run_id, status="FINISHED", params=candidate.params, metrics=metrics, report=candidate.report)
    if version is None:
        return RegisteredOutcome(run_id=run_id, state="refused", sentence=refusal_sentence(candidate.report))
    registry.nominate(version, actor=actor, reason=reason)
    sentence = f"Version {version.version} is registered as challenger."
    return RegisteredOutcome(run_id=run_id, state="registered", sentence=sentence, version=version)


def refusal_sentence(report: GateReport) -> str:
    """Return the result of an order whose candidate did not pass its gates."""
    reasons = "; ".join(verdict.sentence.rstrip(".") for verdict in report.failures)
    return f"The candidate was refused: {reasons}."


def log_outcome(model: str, order: int, outcome: TrainingOutcome) -> None:
    """Log that a training has ended, and the verdict of its gates, with the ids as fields."""
    candidate, prefix = outcome.candidate, f"{model}: order {order}"
    if candidate is None:
        message = f"{prefix}: the training failed: {outcome.problem}"
        log_event(_log, "training_failed", message, level=logging.WARNING, model=model, order=order)
        return
    scores = ", ".join(f"{score.metric} {score.value:.4g}" for score in candidate.scores[:1])
    message = f"{prefix}: the training has ended after {candidate.trials} trials"
    message += f": {scores} on the hold-out" if scores else ""
    log_event(_log, "training_ended", message, model=model, order=order)
    verdicts, failures = candidate.report.verdicts, candidate.report.failures
    passed = sum(verdict.outcome == "passed" for verdict in verdicts)
    message = f"{prefix}: {passed} of {len(verdicts)} gates passed"
    if not failures:
        log_event(_log, "gates_passed", f"{message}, none refused", model=model, order=order)
        return
    message += ", refused by " + "; ".join(f"{verdict.gate}: {verdict.sentence.rstrip('.')}" for verdict in failures)
    log_event(_log, "gates_refused", message, level=logging.WARNING, model=model, order=order)
