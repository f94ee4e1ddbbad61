"""Constants as models: by task, and what is none."""

from __future__ import annotations

import numpy as np
import pytest

from everfit.artifact.schema import Column, InputSchema
from everfit.core.errors import DefinitionError
from everfit.core.evidence import Task
from everfit.training.constant import constant_model

CLASSES: dict[Task, tuple[str | int | bool, ...]] = {
    "binary": (False, True),
    "multiclass": ("bus", "car", "tram"),
    "regression": (),
}


def schema(task: Task) -> InputSchema:
    return InputSchema(
        model="late", task=task, request=(), event_time="", lookups=(), computations=(),
        columns=(Column(name="x", kind="number"),), classes=CLASSES[task],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("task", "value", "expected"),
    [
        ("binary", 0.25, [0.25, 0.25]),
        ("binary", 0.0, [0.0, 0.0]),
        ("binary", 1.0, [1.0, 1.0]),
        ("regression", -7.5, [-7.5, -7.5]),
        ("multiclass", "car", [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]),
    ],
)
def test_every_row_gets_the_same(task: Task, value: float | str, expected: list[float]) -> None:
    fitted = constant_model(schema(task), value, place="design.md")
    assert fitted.predict(np.array([[1.0], [np.nan]])).tolist() == expected


@pytest.mark.parametrize(
    ("task", "value", "rule"),
    [
        ("binary", 1.5, "must be a probability"),
        ("binary", "yes", "must be a probability"),
        ("regression", "many", "must be a number"),
        ("multiclass", "boat", "must be one of bus, car, tram"),
        ("multiclass", 0.5, "must be one of bus, car, tram"),
    ],
)
def test_what_is_no_prediction_of_the_task_is_refused(task: Task, value: float | str, rule: str) -> None:
    with pytest.raises(DefinitionError, match=rule):
        constant_model(schema(task), value, place="design.md:1")
