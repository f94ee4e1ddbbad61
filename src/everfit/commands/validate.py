"""Validation of the definitions against the data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from polars.exceptions import PolarsError

from everfit.artifact.infer import infer_schema
from everfit.core.errors import EverfitError
from everfit.core.evidence import TrainingFrame
from everfit.core.progress import SILENT, Progress
from everfit.core.records import DesignCheck, Problem
from everfit.core.suggestion import did_you_mean
from everfit.definitions.model import Model
from everfit.definitions.project import Project
from everfit.definitions.training_window import DEFAULT_WINDOWS, LEAST_LABELS
from everfit.definitions.view import FeatureView
from everfit.design import labels, leaks, modules, sources
from everfit.design.problems import caught, error, from_exception
from everfit.design.record import read_design
from everfit.design.sample import SAMPLE_ROWS, Samples
from everfit.features.compute import feature_names, view_rows
from everfit.features.hindsight import changed_by_later_rows
from everfit.features.history import build_frame
from everfit.features.newest import newest_window
from everfit.features.training_start import count_labelled, training_start
from everfit.gates.declared import unusable_baseline
from everfit.loop.declared_design import check_design
from everfit.store.plain_values import count_infinite
from everfit.store.reader import Reader
from everfit.system import System


def check(
    system: System,
    *,
    as_of: datetime | None = None,
    sample_rows: int = SAMPLE_ROWS,
    progress: Progress = SILENT,
) -> DesignCheck:
    """Check the definitions against the data.

    Everything is checked, whatever was found before, so that all problems are reported at once; only what needs a
    training frame is left out where it cannot be built. Of a source with more rows than ``sample_rows``, what must be
    computed from rows is checked on the newest ones.
    """
    project, as_of = system.project, as_of or system.clock.now()
    samples = Samples(system.reader, as_of=as_of, rows=sample_rows)
    checked: list[str] = []
    windows: list[str] = []
    problems: list[Problem] = []

    def report(what: str, found: list[Problem]) -> None:
        checked.append(what)
        problems.extend(found)
        progress.advance("Checking", note=what)

    total = 1 + len(project.sources) + 2 * len(project.views) + 4 * len(project.models)
    progress.start("Checking", total=total)
    for what, found in check_definitions(system, as_of=as_of, samples=samples):
        report(what, found)
    for view in project.views.values():
        if not _has_errors(problems, f"feature view {view.name}", f"source {view.source.name}"):
            report(f"rows of {view.name}", check_view_rows(view, system.reader, as_of=as_of, samples=samples))
    for model in project.models.values():
        if not _has_errors(problems, ""):
            found, window = _check_model_rows(system, model, as_of, samples)
            windows += window
            report(f"labels, leaks and slices of {model.name}", found)
    for what, found in check_designs(system, as_of=as_of):
        report(what, found)
    progress.finish("Checking")
    return DesignCheck(
        project=project.name,
        checked=tuple(checked),
        windows=tuple(windows),
        problems=tuple(dict.fromkeys(problems)),
        sampled=tuple(sample.sentence for sample in samples.taken),
    )


def check_definitions(system: System, *, as_of: datetime, samples: Samples) -> Iterator[tuple[str, list[Problem]]]:
    """Yield what is checked, and its problems: names, columns, types and times, without computing a feature."""
    project, reader = system.project, system.reader
    yield "code", modules.check_names(project.code)
    for source in project.sources.values():
        yield f"source {source.name}", sources.check_source(source, reader, as_of=as_of, samples=samples)
    for view in project.views.values():
        yield f"feature view {view.name}", sources.check_view(view, reader)
    for model in project.models.values():
        yield f"model {model.name}", [*labels.check_model(model), *leaks.check_request(model)]
        yield f"events of {model.name}", sources.check_events(model, reader, as_of=as_of, samples=samples)


def check_designs(system: System, *, as_of: datetime) -> Iterator[tuple[str, list[Problem]]]:
    """Yield what is checked, and its problems: each model's design record, compared with its definition."""
    for model in system.project.models.values():
        yield f"design record of {model.name}", check_design(system.project, model, now=as_of)


def _has_errors(problems: list[Problem], *places: str) -> bool:
    return any(problem.severity == "error" and problem.place.startswith(places) for problem in problems)


def _check_model_rows(
    system: System, model: Model, as_of: datetime, samples: Samples
) -> tuple[list[Problem], list[str]]:
    """Return the problems of the rows that the model would be trained on, and its training window if it has one."""
    try:
        start, end = _sampled_events(model, system.reader, as_of, samples)
        first = training_start(model, system.reader, as_of=as_of)
        if first is not None and (start is None or start <= first):
            start = end = None  # the training window is smaller than the sample
        frame = build_frame(model, system.reader, as_of=as_of, start=start, end=end)
    except EverfitError as raised:
        return [from_exception(f"model {model.name}", raised)], []
    problems = [
        *check_history(model, frame, system.reader, as_of=as_of),
        *check_frame(model, frame, system.reader, as_of=as_of, samples=samples),
        *leaks.check_strength(model, frame),
        *check_declared(system.project, model, frame, as_of=as_of),
    ]
    is_stated = model.histories != DEFAULT_WINDOWS and model.history_text
    return problems, [labels.describe_history(model, frame)] if is_stated else []


def check_history(model: Model, frame: TrainingFrame, reader: Reader, *, as_of: datetime) -> list[Problem]:
    """Check that a training window is not what leaves too few labels."""
    if model.history is None or frame.manifest.labelled >= LEAST_LABELS:
        return []
    newest = newest_window(model, reader, rows=LEAST_LABELS, as_of=as_of)
    labelled = count_labelled(model, reader, as_of=as_of)
    if newest is None or labelled <= frame.manifest.labelled:
        return []
    return [labels.short_history(model.name, model.history, frame, labelled=labelled, wider=as_of - newest.start)]


def _sampled_events(
    model: Model, reader: Reader, as_of: datetime, samples: Samples
) -> tuple[datetime | None, datetime | None]:
    """Return the window of a sample with as many labelled events, and with the newer ones if these are not more."""
    newest = samples.start(model.events.source, model.events.timestamp)
    if newest is None:
        return None, None
    labelled = newest_window(model, reader, rows=samples.rows, as_of=as_of)
    if labelled is None:
        return newest, None
    return labelled.start, labelled.end if labelled.end < newest else None


def check_frame(
    model: Model, frame: TrainingFrame, reader: Reader, *, as_of: datetime, samples: Samples
) -> list[Problem]:
    """Check a model's labels, slices and columns, and look for leaks, in the rows of a frame."""
    found: list[Problem] = [*labels.check_labels(model, frame), *labels.check_slices(model, frame)]
    found += leaks.check_leaks(model, frame)
    for view in model.views:
        found += leaks.check_view_against_label(model, view, reader, as_of=as_of, samples=samples)
    with caught(found, f"model {model.name}"):
        infer_schema(model, frame, frame.data)
    return found


def check_declared(project: Project, model: Model, frame: TrainingFrame, *, as_of: datetime) -> list[Problem]:
    """Check what a model's design record says about the rows of a frame."""
    design = read_design(project, model.name)
    if design is None or design.record is None:
        return []
    found, expected, column = [], design.record.label.delay, design.record.baseline.column
    if expected is not None:
        found += labels.check_label_delay(expected, design.where("label.expected_delay"), frame, as_of=as_of)
    if column and (problem := unusable_baseline(frame.data, column, model.task)):
        remedy = "" if column in frame.data.columns else did_you_mean(column, frame.data.columns)
        found.append(error(design.where("baseline.column"), problem, column, remedy))
    return found


def check_view_rows(
    view: FeatureView, reader: Reader, *, as_of: datetime, samples: Samples, since: datetime | None = None
) -> list[Problem]:
    """Compute a view of a sample, perhaps only its rows from an instant on, for what columns alone do not show."""
    place = f"feature view {view.name}"
    try:
        with reader.naming_damage(view.source):
            start = samples.start(view.source, view.timestamp)
            first = max(filter(None, (since, start)), default=None)
            rows = view_rows(view, reader, since=first, as_of=as_of, keep_infinite=True)
            counts = count_infinite(rows, feature_names(view, rows))
            # What a view only passes on has been reported of its source.
            infinite = sources.infinite_values(place, counts) if view.transform is not None else []
            rows.head(1).collect()
            late = sources.check_late_values(view, reader, as_of=as_of, samples=samples)
            return [*infinite, *late, *_check_hindsight(view, reader, as_of=as_of, since=start)]
    except EverfitError as raised:
        return [from_exception(place, raised)]
    except PolarsError as raised:
        return [error(place, f"it must be computable: {raised}")]


def _check_hindsight(view: FeatureView, reader: Reader, *, as_of: datetime, since: datetime | None) -> list[Problem]:
    found = changed_by_later_rows(view, reader, as_of=as_of, since=since)
    if found is None:
        return []
    rule, value = f"a row must depend on rows until its own {view.timestamp} only", f"rows until {found[0]} change in "
    remedy = "Let the function look back only: no shift(-1), no fill from later rows, no mean over all rows."
    return [
        error(f"feature view {view.name}", rule, value + ", ".join(found[1]) + " once later ones are known", remedy)
    ]
