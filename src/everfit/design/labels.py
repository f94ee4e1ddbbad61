"""Checks of a model's labels, metric, trainer and slices."""

from __future__ import annotations

from everfit.core.columns import LABEL
from everfit.core.evidence import TrainingFrame
from everfit.core.records import Problem
from everfit.definitions.model import Model
from everfit.definitions.trainer_arguments import argument_errors
from everfit.design.problems import caught, error, from_exception, warning
from everfit.measures.quality import metric_for

FEW_ROWS = 200


def check_model(model: Model) -> list[Problem]:
    """Check that the model has a trainer with valid arguments, and a metric of its task."""
    place = f"model {model.name}"
    problems: list[Problem] = []
    with caught(problems, f"{place}, metric"):
        metric_for(model.metric, model.task)
    with caught(problems, place):
        learner = model.learner
        where = f"{place}, trainer {learner.function.__name__}"
        errors = argument_errors(learner.function, learner.space, place=where)
        problems += [from_exception(where, refused) for refused in errors]
    return problems


def check_labels(model: Model, frame: TrainingFrame) -> list[Problem]:
    """Check the number and the variety of labels; their type was checked when the frame was built."""
    place = f"model {model.name}, label"
    labels = frame.data[LABEL].drop_nulls()
    if labels.is_empty():
        value, remedy = f"0 of {frame.data.height}", "Check known_at and the window."
        return [error(place, "there must be labelled rows", value, remedy)]
    if labels.n_unique() < 2:
        remedy = "Check the expression and its units, or widen the window."
        return [error(place, "a label must take more than one value", f"always {labels[0]!r}", remedy)]
    if len(labels) < FEW_ROWS:
        rule = f"there should be {FEW_ROWS} labelled rows or more: with fewer, every metric is uncertain"
        return [warning(place, rule, len(labels))]
    return []


def check_slices(model: Model, frame: TrainingFrame) -> list[Problem]:
    """Check that the columns of slices exist."""
    return [
        error(f"model {model.name}, slices", "a slice must be a request field or a feature", name)
        for name in model.slices
        if name not in frame.data.columns
    ]
