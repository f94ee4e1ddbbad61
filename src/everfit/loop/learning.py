"""From rows to a registered version: frame, training, gates, registry."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from msgspec import Struct

from everfit.core.progress import SILENT, Progress
from everfit.core.records import (
    FrameManifest,
    GateReport,
    ModelVersion,
    Score,
    SliceScore,
    Split,
)
from everfit.loop.candidate_pipeline import Made, Opponent, make_candidate

if TYPE_CHECKING:
    from everfit.system import System


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
    runtime: str = ""
    """Description of the runtime, as of :meth:`everfit.artifact.package.Package.runtime`."""


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

    Nothing is registered unless everything went well. A training that failed is kept as a failed run, and each one is
    in the list of orders with its result.

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
    started_at = system.clock.now()
    run_id = system.registry.start_run(definition.name, tags=tags)
    keep = partial(
        system.orders.keep, definition.name, run_id=run_id, reason=reason, actor=actor, started_at=started_at
    )
    try:
        with TemporaryDirectory(prefix="learn-", dir=system.state) as folder:
            made = make_candidate(
                system, definition, frame, opponent=opponent_of(system, definition.name), into=Path(folder),
                progress=progress,
            )  # fmt: skip
            version = register(system, made, run_id=run_id, tags=tags)
    except BaseException as error:
        system.registry.end_run(run_id, status="FAILED", note=f"{type(error).__name__}: {error}")
        stopped = isinstance(error, KeyboardInterrupt)
        sentence = "It was interrupted." if stopped else f"The training failed: {error}"
        keep(state="cancelled" if stopped else "failed", sentence=sentence, now=system.clock.now())
        raise
    close_run(system, made, run_id=run_id)
    if version is None:
        keep(state="refused", sentence=refusal(made.report), now=system.clock.now())
    else:
        system.registry.nominate(version, actor=actor, reason=reason)
        sentence = f"Version {version.version} is registered as challenger."
        keep(state="registered", sentence=sentence, version=version.version, now=system.clock.now())
    return Learned(
        model=made.model,
        run_id=run_id,
        version=version,
        report=made.report,
        manifest=made.manifest,
        split=made.split,
        params=made.params,
        scores=made.scores,
        slices=made.slices,
        trials=made.trials,
        runtime=made.runtime,
    )


def opponent_of(system: System, model: str) -> Opponent | None:
    """The champion that a candidate must beat; ``None`` if nothing was promoted yet."""
    version = system.registry.champion(model)
    return None if version is None else Opponent(version=version.version, folder=str(system.registry.fetch(version)))


def refusal(report: GateReport) -> str:
    """The reasons why a candidate may not ship, in a sentence with its numbers."""
    reasons = "; ".join(verdict.sentence.rstrip(".") for verdict in report.failures)
    return f"The candidate was refused: {reasons}."


def register(system: System, made: Made, *, run_id: str, tags: dict[str, str]) -> ModelVersion | None:
    """Make a candidate a version if it passed its gates; doing it again gives the same version."""
    if not made.report.passed:
        return None
    return system.registry.register(
        made.model, package=Path(made.folder), digest=made.digest, run_id=run_id, tags=tags | made.tags
    )


def close_run(system: System, made: Made, *, run_id: str) -> None:
    """Keep with a run what it came to."""
    metrics = {score.metric: score.value for score in made.scores}
    system.registry.end_run(run_id, status="FINISHED", params=made.params, metrics=metrics, report=made.report)
