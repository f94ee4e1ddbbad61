"""Checks of a model's labels, metric, trainer and slices."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from everfit.core.columns import KNOWN_AT, LABEL, TIME
from everfit.core.duration import format_duration, format_roughly
from everfit.core.evidence import TrainingFrame
from everfit.core.records import Problem
from everfit.definitions.model import Model
from everfit.definitions.trainer_arguments import argument_errors
from everfit.definitions.training_window import LEAST_LABELS, TrainingWindow
from everfit.design.problems import caught, error, from_exception, warning
from everfit.measures.competing_risks import WAITING
from everfit.measures.delays import delays_of
from everfit.measures.quality import metric_for


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
    if len(labels) < LEAST_LABELS:
        rule = f"there should be {LEAST_LABELS} labelled rows or more: with fewer, every metric is uncertain"
        return [warning(place, rule, len(labels))]
    return []


def describe_history(model: Model, frame: TrainingFrame) -> str:
    """Return a model's training window in a sentence; a frame that is a sample of it does not tell its size."""
    manifest, window = frame.manifest, model.history_text
    if len(model.histories) > 1:
        return f"{manifest.model} is trained on {window}: each training chooses by evidence."
    since, labelled = f"{manifest.start:%Y-%m-%d %H:%M} UTC", f"{manifest.labelled:,} labelled events"
    if not manifest.history:
        return f"{manifest.model} is trained on {window}; a part of it was checked: {labelled}, from {since} on."
    return f"{manifest.model} is trained on {window}: {labelled}, from {since} on."


def short_history(
    model: str, window: TrainingWindow, frame: TrainingFrame, *, labelled: int, wider: timedelta
) -> Problem:
    """Return the problem of a training window that leaves out most of too few labels.

    Args:
        labelled: The number of labels of all history.
        wider: The shortest history, as a duration, with sufficient labels, or with all.
    """
    rule = f"the training window must hold {LEAST_LABELS} labelled rows or more: with fewer, every metric is uncertain"
    value = (
        f"{frame.manifest.labelled:,} of {labelled:,} in {window}, from {frame.manifest.start:%Y-%m-%d %H:%M} UTC on"
    )
    remedy = f"Write history='{wider // timedelta(days=1) + 1}d' or longer, or leave it out."
    return error(f"model {model}, history", rule, value, remedy)


def check_label_delay(expected: timedelta, where: str, frame: TrainingFrame, *, as_of: datetime) -> list[Problem]:
    """Compare the delay that a design record expects, at a place of its file, with that of the rows."""
    until = pl.when(pl.col(LABEL).is_null()).then(pl.lit(as_of)).otherwise(pl.col(KNOWN_AT))
    asked = frame.data.filter(pl.col(TIME) < as_of)
    seconds = [(end - pl.col(TIME)).dt.total_microseconds().clip(0) / 1e6 for end in (until, pl.lit(as_of))]
    ages_s, ago_s = (asked.select(span).to_series().to_numpy() for span in seconds)
    codes = np.where(asked[LABEL].is_null().to_numpy(), WAITING, 0)
    measured = delays_of(ages_s, codes, ago_s).overall
    if measured.p90_s is None or not measured.differs_from(expected):
        return []
    rule = "nine of ten labels should be known after the expected delay"
    found = f"{format_duration(expected)}, and after {format_roughly(timedelta(seconds=measured.p90_s))} in the data"
    return [warning(where, rule, found, "Change it, or find out why labels come at another time.")]


def check_slices(model: Model, frame: TrainingFrame) -> list[Problem]:
    """Check that the columns of slices exist."""
    return [
        error(f"model {model.name}, slices", "a slice must be a request field or a feature", name)
        for name in model.slices
        if name not in frame.data.columns
    ]
