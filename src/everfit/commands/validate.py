"""Validation of the definitions against the data."""

from __future__ import annotations

from datetime import datetime

from polars.exceptions import PolarsError

from everfit.artifact.infer import infer_schema
from everfit.core.errors import EverfitError
from everfit.core.progress import SILENT, Progress
from everfit.core.records import DesignCheck, Problem
from everfit.definitions.model import Model
from everfit.definitions.view import FeatureView
from everfit.design import labels, leaks, sources
from everfit.design.problems import error, from_exception
from everfit.features.compute import feature_names, view_rows
from everfit.features.history import build_frame
from everfit.store.plain_values import count_infinite
from everfit.store.reader import Reader
from everfit.system import System


def check(system: System, *, as_of: datetime | None = None, progress: Progress = SILENT) -> DesignCheck:
    """Check the definitions against the data.

    Everything is checked, whatever was found before, so that all problems are reported at once; only what needs a
    training frame is left out where it cannot be built.
    """
    project, reader = system.project, system.reader
    as_of = as_of or system.clock.now()
    checked: list[str] = []
    problems: list[Problem] = []

    def report(what: str, found: list[Problem]) -> None:
        checked.append(what)
        problems.extend(found)
        progress.advance("Checking", note=what)

    progress.start("Checking", total=len(project.sources) + len(project.views) + 3 * len(project.models))
    for source in project.sources.values():
        report(f"source {source.name}", sources.check_source(source, reader, as_of=as_of))
    for view in project.views.values():
        found = sources.check_view(view, reader)
        if not found and not any(
            problem.severity == "error" and problem.place.startswith(f"source {view.source.name}")
            for problem in problems
        ):
            found = _check_rows(view, reader, as_of=as_of)
        report(f"feature view {view.name}", found)
    for model in project.models.values():
        report(f"model {model.name}", labels.check_model(model))
        report(f"events of {model.name}", sources.check_events(model, reader, as_of=as_of))
        if any(problem.severity == "error" for problem in problems):
            continue
        report(f"labels, leaks and slices of {model.name}", _check_frame(system, model, as_of))
    progress.finish("Checking")
    return DesignCheck(project=project.name, checked=tuple(checked), problems=tuple(dict.fromkeys(problems)))


def _check_frame(system: System, model: Model, as_of: datetime) -> list[Problem]:
    try:
        frame = build_frame(model, system.reader, as_of=as_of)
    except EverfitError as error:
        return [from_exception(f"model {model.name}", error)]
    found: list[Problem] = [*labels.check_labels(model, frame), *labels.check_slices(model, frame)]
    found += leaks.check_leaks(model, frame)
    for view in model.views:
        found += leaks.check_view_against_label(model, view, system.reader, as_of=as_of)
    try:
        infer_schema(model, frame, frame.data)
    except EverfitError as error:
        found.append(from_exception(f"model {model.name}", error))
    return found


def _check_rows(view: FeatureView, reader: Reader, *, as_of: datetime) -> list[Problem]:
    """Compute a view, for what its source's columns alone do not show."""
    place = f"feature view {view.name}"
    try:
        with reader.naming_damage(view.source):
            rows = view_rows(view, reader, as_of=as_of, keep_infinite=True)
            counts = count_infinite(rows, feature_names(view, rows))
            # What a view only passes on has been reported of its source.
            infinite = sources.infinite_values(place, counts) if view.transform is not None else []
            rows.head(1).collect()
            return [*infinite, *sources.check_late_values(view, reader, as_of=as_of)]
    except EverfitError as raised:
        return [from_exception(place, raised)]
    except PolarsError as raised:
        return [error(place, f"it must be computable: {raised}")]
