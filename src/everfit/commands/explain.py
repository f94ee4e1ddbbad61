"""Lineage of a prediction: version, run, code, data, gates, and the changes of its version's aliases."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from everfit.artifact.package import open_package
from everfit.core.errors import EverfitError, UnknownPredictionError
from everfit.core.records import AliasChange, ModelVersion, Score, SourceVersion, Verdict
from everfit.journal.explain import FoundPrediction, find_prediction
from everfit.system import System


class Origin(Struct, frozen=True, kw_only=True):
    """Origin of the version that made a prediction."""

    run_id: str
    registered_at: datetime
    release: int
    """Number of the release that trained it; 0 if it was trained by the project's own folder."""
    commit: str
    """The git commit; empty if the project was in no repository."""
    dirty: bool
    """True if the code differed from the commit."""
    code_digest: str
    design: str
    """``sha256:…`` of the design record; empty without one."""
    sources: tuple[SourceVersion, ...]
    """Exactly which rows it was trained on."""
    data_digest: str
    as_of: datetime
    """Nothing known later was used."""
    trained_rows: int
    """Labelled rows in its training frame."""
    scores: tuple[Score, ...]
    """On the hold-out."""
    verdicts: tuple[Verdict, ...]
    """Verdicts of the gates on the version, from its run."""
    gates_problem: str
    """The reason why there are none; empty where there are."""
    params: dict[str, str | int | float | bool | None]
    changes: tuple[AliasChange, ...]
    """Changes of the aliases that named it, with actor and reason, oldest first."""


class ExplainedAnswer(Struct, frozen=True, kw_only=True):
    """One prediction and its origin."""

    answer: FoundPrediction
    origin: Origin | None
    problem: str
    """The reason why there is no origin; empty where there is."""


class Explanation(Struct, frozen=True, kw_only=True):
    """Every prediction with one id, oldest first; see :func:`everfit.journal.explain.find_prediction`."""

    id: str
    answers: tuple[ExplainedAnswer, ...]


def explain(system: System, prediction_id: str) -> Explanation:
    """Return the predictions with an id, and their origin. Raises :class:`UnknownPredictionError` if there is none."""
    found = find_prediction(system.lake, system.journal, prediction_id)
    if not found:
        raise UnknownPredictionError(
            "a prediction with that id must be recorded",
            value=prediction_id,
            place=str(system.journal),
            remedy="It is the id in the service's response, or the one that the caller sent.",
        )
    return Explanation(id=prediction_id, answers=tuple(_explained(system, answer) for answer in found))


def _explained(system: System, answer: FoundPrediction) -> ExplainedAnswer:
    try:
        version = system.registry.version(answer.model, answer.version)
        if version.digest == answer.digest:
            return ExplainedAnswer(answer=answer, origin=_origin(system, version), problem="")
        problem = f"version {answer.version} of the registry is another package than the one that made this prediction"
    except (
        EverfitError
    ) as error:  # the registry was reset, or the package is gone: the prediction is shown all the same
        problem = str(error)
    return ExplainedAnswer(answer=answer, origin=None, problem=problem)


def _origin(system: System, version: ModelVersion) -> Origin:
    try:
        report = system.registry.gate_report(version.model, version.run_id)
        problem = "its run has no report" if report is None else ""
    except EverfitError as error:  # the rest of the origin is in the package, and is shown all the same
        report, problem = None, str(error)
    lineage = open_package(system.registry.fetch(version), trust=system.trust).manifest.lineage
    return Origin(
        run_id=version.run_id,
        registered_at=version.created_at,
        release=lineage.release,
        commit=lineage.code.commit,
        dirty=lineage.code.dirty,
        code_digest=lineage.code.digest,
        design=lineage.design,
        sources=lineage.frame.sources,
        data_digest=lineage.frame.digest,
        as_of=lineage.frame.as_of,
        trained_rows=lineage.frame.labelled,
        scores=lineage.scores,
        verdicts=() if report is None else report.verdicts,
        gates_problem=problem,
        params=lineage.params,
        changes=tuple(change for change in system.registry.history(version.model) if change.version == version.version),
    )
