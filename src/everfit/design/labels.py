"""Whether the labels can be learnt from, and the rest of the model's definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everfit.core.columns import LABEL
from everfit.core.errors import EverfitError
from everfit.core.evidence import TrainingFrame
from everfit.definitions.trainer_arguments import argument_errors
from everfit.design.problems import error, from_exception, warning
from everfit.measures.quality import metric_for

if TYPE_CHECKING:
    from everfit.core.records import Problem
    from everfit.definitions.model import Model

FEW_ROWS = 200


def check_model(model: Model) -> list[Problem]:
    """Check that it has a trainer whose arguments can be given, and a metric of its task."""
    place, problems = f"model {model.name}", []
    try:
        metric_for(model.metric, model.task)
    except EverfitError as raised:
        problems.append(from_exception(f"{place}, metric", raised))
    try:
        learner = model.learner
    except EverfitError as raised:
        return [*problems, from_exception(place, raised)]
    where = f"{place}, trainer {learner.function.__name__}"
    errors = argument_errors(learner.function, learner.space, place=where)
    problems.extend(from_exception(where, refused) for refused in errors)
    return problems


def check_labels(model: Model, frame: TrainingFrame) -> list[Problem]:
    """Problems of the labels' number and variety; their type was checked when the frame was built."""
    place = f"model {model.name}, label"
    labels = frame.data[LABEL].drop_nulls()
    if labels.is_empty():
        return [
            error(place, "there must be labelled rows", f"0 of {frame.data.height}", "Check known_at and the window.")
        ]
    if labels.n_unique() < 2:
        remedy = "Look at the expression and its units, or widen the window."
        return [error(place, "a label must take more than one value", f"always {labels[0]!r}", remedy)]
    if len(labels) < FEW_ROWS:
        return [warning(place, f"fewer than {FEW_ROWS} labelled rows make every figure shaky", len(labels))]
    return []


def check_slices(model: Model, frame: TrainingFrame) -> list[Problem]:
    """Whether the columns that metrics are broken down by are there."""
    return [
        error(f"model {model.name}, slices", "a slice must be a request field or a feature", name)
        for name in model.slices
        if name not in frame.data.columns
    ]
