"""A backtest: every policy walks through the same history, in processes of their own.

What is done is kept, so that a backtest that was stopped goes on: trainings, walks and refits are files that are named
by what they depend on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from msgspec import Struct

from everfit.artifact.provenance import code_digest
from everfit.backtest.contender import Contender
from everfit.backtest.course import Course, Reign, Walked
from everfit.backtest.past import Past
from everfit.backtest.result import BacktestReport, results_of, summary_of
from everfit.backtest.task_progress import watched
from everfit.backtest.tasks import BacktestFolder, Task, perform
from everfit.backtest.trainings import Trainings, Version
from everfit.core.clock import SystemClock
from everfit.core.duration import format_duration
from everfit.core.errors import EmptyWindowError, LoopError, MisuseError, TrainingError
from everfit.core.progress import SILENT, Progress
from everfit.definitions.model import Model
from everfit.loop.training_record import TrainingOutcome, refusal_sentence
from everfit.measures.quality import metric_for
from everfit.store.old_folder import delete_folder
from everfit.store.sqlite_file import file_lock
from everfit.system import System

_LEAST_EVENTS = 100
_EVERFIT = Path(__file__).parents[1]
"""Its own code, which decides as well."""


class BacktestPlan(Struct, frozen=True, kw_only=True):
    """Period, pace and policies of a backtest.

    Raises :class:`MisuseError` if the period is empty or the step is longer than it.
    """

    start: datetime
    """The first version is trained at this instant; event times from here on are predicted."""
    end: datetime
    step: timedelta
    """Time between two rounds."""
    contenders: tuple[Contender, ...]
    """Policies; the first one is compared with the others."""
    jobs: int = 2
    """Processes that walk at the same time."""

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise MisuseError("--to must be later than --from", value=self.end.isoformat())
        if self.step > self.end - self.start:
            raise MisuseError("--step must not be longer than the period", value=format_duration(self.step))
        if self.jobs < 1:
            raise MisuseError("--jobs must be positive", value=self.jobs)
        shorter = [one.name for one in self.contenders if one.kind == "refit" and one.length < self.step]
        if shorter:
            remedy = "Take a shorter --step."
            raise MisuseError("a schedule must not be shorter than --step", value=shorter[0], remedy=remedy)


def backtest(system: System, model: str | None, plan: BacktestPlan, *, progress: Progress = SILENT) -> BacktestReport:
    """Compare policies on a model's history.

    Raises:
        EmptyWindowError: If there are too few events in the period.
        TrainingError: If the first version fails or is refused by its gates.
        LoopError: If another backtest of this model is running.
        DataError: As the subclass that the events or features call for.
    """
    began_s, definition = time.monotonic(), system.project.model(model)
    parent = system.state / "backtests" / definition.name
    parent.mkdir(parents=True, exist_ok=True)
    with file_lock(parent / "lock", wait=False) as held:
        if not held:
            raise LoopError("only one backtest of a model can run at a time", value=definition.name)
        # A replay's clock may be behind; labels are those that are known today.
        now = SystemClock().now()
        past = Past.read(definition, system.reader, end=plan.end, as_of=now, progress=progress)
        first, last = past.place(plan.start), past.rows.height
        if last - first < _LEAST_EVENTS:
            found = f"{last - first} from {plan.start:%Y-%m-%d} to {plan.end:%Y-%m-%d}"
            raise EmptyWindowError(f"a backtest needs {_LEAST_EVENTS} events", value=found)
        files = _folder(system, past, parent)
        trainings = Trainings(system, past, files.trainings)
        outcome, version = _first_version(trainings, definition, plan.start, progress)
        tasks = list(_tasks(definition, plan, files))
        _perform(system, plan, files, tasks, progress)
        walks = [_walked(contender, plan, files, version) for contender in plan.contenders]
        results = results_of(definition, past, first, last, walks)
    metric = metric_for(definition.metric, definition.task)
    return BacktestReport(
        model=definition.name,
        task=definition.task,
        metric=definition.metric,
        greater_is_better=metric.greater_is_better,
        start=plan.start,
        end=plan.end,
        step=format_duration(plan.step),
        events=last - first,
        first_version=_first_sentence(outcome, plan.start),
        policies=results,
        summary=summary_of(results, metric),
        seconds=time.monotonic() - began_s,
    )


def _folder(system: System, past: Past, parent: Path) -> BacktestFolder:
    """Return the folder of what is done with this code on this history; that of another code or history is deleted."""
    settings = system.project.settings.training
    parts = (system.code_digest(), code_digest(_EVERFIT), past.frame.manifest.digest, repr(settings))
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    for other in parent.iterdir():
        if other.is_dir() and other.name != name:
            delete_folder(other)
    files = BacktestFolder(parent / name)
    files.make(past)
    return files


def _first_version(
    trainings: Trainings, definition: Model, start: datetime, progress: Progress
) -> tuple[TrainingOutcome, Version]:
    progress.start("first version")
    outcome = trainings.train(definition, start, None)
    problem = outcome.problem
    if outcome.candidate is not None and not outcome.candidate.report.passed:
        problem = refusal_sentence(outcome.candidate.report)
    if problem:
        raise TrainingError(
            f"the first version, trained on what was known by then, must pass its gates: {problem.rstrip('.')}",
            value=f"{start:%Y-%m-%d}",
            place=f"model {definition.name}",
            remedy="Begin later, with more history: --from.",
        )
    progress.finish("first version", note=_first_sentence(outcome, start))
    return outcome, trainings.version(outcome, 1)


def _first_sentence(outcome: TrainingOutcome, start: datetime) -> str:
    assert outcome.candidate is not None
    score, rows = outcome.candidate.scores[0], outcome.candidate.manifest.labelled
    return (
        f"All policies begin with one version, trained at {start:%Y-%m-%d %H:%M} UTC on {rows:,} labelled rows: "
        f"{score.metric} {score.value:.4f} on its hold-out."
    )


def _tasks(definition: Model, plan: BacktestPlan, files: BacktestFolder) -> Iterator[Task]:
    """Yield what is not done yet: the longest first."""
    for contender in plan.contenders:
        if contender.kind != "refit" and not files.walk(contender, plan.start, plan.end, plan.step).exists():
            yield Task(model=definition.name, contender=contender, start=plan.start, end=plan.end, step=plan.step)
    seen = set()
    for contender in plan.contenders:
        if contender.kind == "refit":
            for begin, end in cuts(contender, plan.start, plan.end):
                path = files.refit(contender.window, begin, end)
                if path not in seen and not path.exists():
                    seen.add(path)
                    yield Task(model=definition.name, contender=contender, start=begin, end=end, step=plan.step)


def cuts(contender: Contender, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Return the periods between the refits of a schedule; the first begins at the start."""
    count = -(-(end - start) // contender.length)
    bounds = [start + contender.length * number for number in range(count)]
    return list(zip(bounds, [*bounds[1:], end], strict=True))


def _perform(
    system: System, plan: BacktestPlan, files: BacktestFolder, tasks: Sequence[Task], progress: Progress
) -> None:
    if not tasks:
        return
    from joblib import Parallel, delayed

    total = sum(task.steps for task in tasks)
    progress.start("policies", total=total)
    root, release = system.project.root, system.project.release
    counts = files.counts(len(tasks))
    with watched(counts, progress, "policies"):
        run = Parallel(n_jobs=min(plan.jobs, len(tasks)), return_as="generator_unordered", batch_size=1)
        calls = (
            delayed(perform)(root, release, files.folder, plan.start, task, number) for number, task in enumerate(tasks)
        )
        for _ in run(calls):
            pass
    progress.finish("policies", note=f"{len(tasks)} walks and refits")


def _walked(contender: Contender, plan: BacktestPlan, files: BacktestFolder, first: Version) -> Walked:
    if contender.kind != "refit":
        return files.read_walk(contender, plan.start, plan.end, plan.step)
    parts, reigns, seconds = [], list[Reign](), 0.0
    for number, (begin, end) in enumerate(cuts(contender, plan.start, plan.end), start=1):
        predicted, took_s = files.read_refit(contender.window, begin, end)
        parts.append(predicted)
        seconds += took_s
        sentence = "It is the first version." if number == 1 else f"{contender.period} have passed."
        reigns.append(Reign(version=number, since=begin, as_of=begin, sentence=sentence))
    course = Course(
        policy=contender.name,
        trainings=len(reigns) - 1,
        reigns=tuple(reigns),
        seconds=seconds,
        training_seconds=seconds,
    )
    return Walked(course=course, predictions=np.concatenate(parts), classes=first.schema.classes)
