"""A training by hand, in this process; the pipeline is the loop's."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from everfit.core.errors import EverfitError
from everfit.core.event_log import event_fields
from everfit.core.progress import SILENT, Progress
from everfit.core.records import FrameManifest, GateReport, ModelVersion, Score, SliceScore, TimeSplit
from everfit.loop.retrain_job import LOG, order_folder
from everfit.loop.training_record import (
    RegisteredOutcome,
    TrainingOutcome,
    begin_training,
    log_outcome,
    register_outcome,
)
from everfit.store.temporary_folder import temporary_folder
from everfit.system import System


class TrainingResult(Struct, frozen=True, kw_only=True):
    """Result of a training by hand."""

    model: str
    run_id: str
    version: ModelVersion | None
    """``None`` if a gate refused the candidate."""
    report: GateReport
    manifest: FrameManifest
    split: TimeSplit
    params: dict[str, str | int | float | bool | None]
    scores: tuple[Score, ...]
    slices: tuple[SliceScore, ...]
    trials: int
    runtime: str = ""
    """Description of the runtime, as of :meth:`everfit.artifact.package.Package.runtime`."""


def train(
    system: System,
    model: str | None = None,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    as_of: datetime | None = None,
    reason: str = "started by hand",
    actor: str = "",
    progress: Progress = SILENT,
) -> TrainingResult:
    """Train a candidate, judge it and, if every gate passes, register it as challenger.

    The model's name may be left out where there is only one. Used are the events in ``[start, end)``, by default those
    of the model's training window, or else all, until ``as_of``, and nothing that became known after ``as_of``, by
    default now. Each training is in the list of orders with its result and log, and a training that failed is kept as a
    failed run.
    """
    from everfit.loop.candidate_pipeline import build_candidate

    started_at = system.clock.now()
    request = begin_training(system, system.project.model(model).name, start=start, end=end, as_of=as_of)

    def record(outcome: TrainingOutcome, log: Path, *, interrupted: bool = False) -> RegisteredOutcome:
        ended = register_outcome(system, request, outcome, tags={}, actor=actor, reason=reason, started_at=started_at)
        kept = system.orders.keep(
            request.model,
            run_id=ended.run_id,
            state="cancelled" if interrupted else ended.state,
            sentence="It was interrupted." if interrupted else ended.sentence,
            reason=reason,
            actor=actor,
            started_at=started_at,
            now=system.clock.now(),
            version=None if ended.version is None else ended.version.version,
        )
        log_outcome(request.model, kept.number, outcome)
        # 'everfit orders show' reads it there.
        folder = order_folder(system, kept.number)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, folder / LOG)
        return ended

    with temporary_folder(system.state, "train") as place, _log_to(place / LOG) as log:
        try:
            candidate = build_candidate(system, request, into=place, progress=progress)
            ended = record(TrainingOutcome(candidate=candidate), log)
        except BaseException as error:
            problem = str(error) if isinstance(error, EverfitError) else f"{type(error).__name__}: {error}"
            record(TrainingOutcome(problem=problem), log, interrupted=isinstance(error, KeyboardInterrupt))
            raise
    return TrainingResult(
        model=candidate.model,
        run_id=ended.run_id,
        version=ended.version,
        report=candidate.report,
        manifest=candidate.manifest,
        split=candidate.split,
        params=candidate.params,
        scores=candidate.scores,
        slices=candidate.slices,
        trials=candidate.trials,
        runtime=candidate.runtime,
    )


@contextmanager
def _log_to(path: Path) -> Iterator[Path]:
    """Write this process's log lines to a file, too; warnings still reach the terminal. Yield the path."""
    logger = logging.getLogger("everfit")
    level, file = logger.level, logging.FileHandler(path, encoding="utf-8")
    form = logging.Formatter("%(asctime)sZ %(levelname)-7s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    file.setFormatter(form)
    handlers: list[logging.Handler] = [file]
    if not logging.root.handlers:
        # Python prints warnings only where there is no handler at all; what an event says the command prints anyway.
        terminal = logging.StreamHandler()
        terminal.setLevel(logging.WARNING)
        terminal.addFilter(lambda line: not event_fields(line))
        handlers.append(terminal)
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield path
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
        file.close()
