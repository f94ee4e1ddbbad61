"""Step ``data``: the newest rows, as a training will have them, and leaks of the label into features."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from everfit.commands.trial.problems import result_of
from everfit.commands.trial.release_trial import ReleaseTrial
from everfit.commands.validate import check_declared, check_frame, check_view_rows
from everfit.core.duration import format_roughly
from everfit.core.errors import EverfitError
from everfit.core.records import Problem
from everfit.core.release_trial import TrialResult
from everfit.design import leaks
from everfit.design.problems import from_exception, warning
from everfit.design.sample import Samples
from everfit.features.freshness import measure_freshness
from everfit.features.newest import newest_window


def run(trial: ReleaseTrial) -> TrialResult:
    """Check the values of views, labels and slices, and look for leaks."""
    project, reader, as_of = trial.system.project, trial.system.reader, trial.request.as_of
    since, samples = _first_event(trial), Samples(reader, as_of=as_of)
    problems = [
        problem
        for view in project.views.values()
        for problem in check_view_rows(view, reader, as_of=as_of, samples=samples, since=since)
    ]
    if any(problem.severity == "error" for problem in problems):
        return result_of("data", problems, passed="")
    counts = [f"{len(project.views)} feature views"]
    for model in project.models.values():
        try:
            frame = trial.frame(model)
            counts.append(f"{frame.manifest.rows:,} events of {model.name} ({frame.manifest.labelled:,} labelled)")
            problems += check_frame(model, frame, reader, as_of=as_of, samples=samples)
            problems += check_declared(project, model, frame, as_of=as_of)
            # In a release no person would read a warning before the feature is used.
            strong = leaks.check_strength(model, frame)
            problems += (msgspec.structs.replace(problem, severity="error") for problem in strong)
        except EverfitError as raised:
            problems.append(from_exception(f"model {model.name}", raised))
    problems += _stale(trial)
    return result_of("data", problems, passed=f"No error in {', '.join(counts)}.")


def _first_event(trial: ReleaseTrial) -> datetime | None:
    """Return the time of the oldest event of all samples; ``None`` if a model has no labelled event."""
    request, project, reader = trial.request, trial.system.project, trial.system.reader
    models = project.models.values()
    windows = [newest_window(model, reader, rows=request.sample_rows, as_of=request.as_of) for model in models]
    starts = [window.start for window in windows if window is not None]
    return min(starts) if starts and len(starts) == len(windows) else None


def _stale(trial: ReleaseTrial) -> Iterator[Problem]:
    """Yield a warning for each view whose newest row is older than its ttl: not the fault of the code."""
    project, as_of = trial.system.project, trial.request.as_of
    for found in measure_freshness(project.views.values(), trial.system.reader, at=as_of):
        if found.age is None or found.age > found.ttl:
            age = "it has no row" if found.age is None else f"it is {format_roughly(found.age)} old"
            rule = f"the newest row of {found.source} should be younger than the ttl, {format_roughly(found.ttl)}"
            yield warning(f"feature view {found.view}", rule, age)
