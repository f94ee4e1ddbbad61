"""What every gate must do, those of tomorrow included."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

import everfit.gates
from everfit.core.evidence import Evidence
from everfit.core.records import Verdict
from everfit.definitions.gate import Gate
from everfit.gates.custom import OwnGate, gate
from everfit.gates.declared import BeatsDeclaredBaseline, DeclaredMetric
from everfit.gates.judge import STANDARD_GATES
from everfit.gates.slices import Slices

ARGUMENTS: dict[str, dict[str, Any]] = {
    "Slices": {"column": "town"},
    "DeclaredMetric": {"at_most": 5.0},
    "BeatsDeclaredBaseline": {"by": 0.01},
}
OF_A_MODEL = {Slices, DeclaredMetric, BeatsDeclaredBaseline}
"""Gates that the model's code or its design record names."""


def gate_classes() -> list[type]:
    found = []
    for module in pkgutil.iter_modules(everfit.gates.__path__, "everfit.gates."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if kind.__module__ == module.name and hasattr(kind, "judge") and kind is not OwnGate:
                found.append(kind)
    return found


CLASSES = gate_classes()
GATES = [kind(**ARGUMENTS.get(kind.__name__, {})) for kind in CLASSES]
every_gate = pytest.mark.parametrize("each", GATES, ids=lambda each: type(each).__name__)


def nothing_left(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.clear()


def nasty(build: Callable[..., Any]) -> dict[str, Evidence]:
    """Evidence as it should not be."""
    world = build(rows=300)
    ordinary, rows = world.evidence, 300
    return {
        "single class": world.but(truth=np.zeros(rows)),
        "NaN predictions": world.but(predicted=np.full(rows, np.nan)),
        "NaN champion": world.but(champion=np.full(rows, np.nan), champion_version=1),
        "no reference rows": world.but(reference=ordinary.reference.clear()),
        "constant predictions": world.but(predicted=np.full(rows, 0.2)),
        "all missing": world.but(
            holdout=ordinary.holdout.with_columns(pl.lit(None, dtype=pl.Float64).alias("distance"))
        ),
        "no features": world.but(features=()),
        "no sources": world.but(freshness=[]),
        "no rows": world.but(
            holdout=ordinary.holdout.clear(),
            truth=np.zeros(0),
            weight=np.ones(0),
            predicted=np.zeros(0),
            baseline=np.zeros(0),
            fit_again=lambda: (np.zeros(0), np.zeros(0)),
            predict_packaged=lambda: np.zeros(0),
        ),
        "package of another shape": world.but(predict_packaged=lambda: np.zeros((rows, 2))),
        "one row": world.but(
            holdout=ordinary.holdout.head(1),
            truth=ordinary.truth[:1],
            weight=ordinary.weight[:1],
            predicted=ordinary.predicted[:1],
            baseline=ordinary.baseline[:1],
        ),
        "column gone": world.but(holdout=ordinary.holdout.drop("distance", "town")),
        "other types": world.but(holdout=ordinary.holdout.with_columns(pl.col("distance").cast(pl.String))),
        "regression, constant label": dataclasses.replace(
            build("regression", rows=300).evidence, truth=np.full(rows, 4.0)
        ),
        "multiclass, class gone": dataclasses.replace(
            (kinds := build("multiclass", rows=300).evidence), truth=np.minimum(kinds.truth, 1.0)
        ),
    }


@every_gate
def test_is_a_frozen_gate_with_a_name(each: Gate) -> None:
    assert isinstance(each, Gate)
    assert re.fullmatch(r"[a-z][a-z0-9_]*", each.name)
    assert dataclasses.is_dataclass(type(each))
    assert each == type(each)(**ARGUMENTS.get(type(each).__name__, {}))
    assert hash(each) == hash(type(each)(**ARGUMENTS.get(type(each).__name__, {})))
    kind: Any = type(each)
    for attribute in ("name", *(part.name for part in dataclasses.fields(kind))):
        with pytest.raises(AttributeError):
            setattr(each, attribute, "other")


def test_names_are_unique() -> None:
    names = [each.name for each in (*GATES, Slices("distance"))]
    assert len(names) == len(set(names)) >= 12


def test_every_class_is_standard_or_named_by_the_model() -> None:
    assert {type(each) for each in STANDARD_GATES} == set(CLASSES) - OF_A_MODEL


@every_gate
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_good_candidate_passes_with_numbers(
    each: Gate, task: str, build_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(each, build_world(task).evidence, expected={"passed", "skipped"})


@every_gate
def test_nasty_evidence_never_raises(each: Gate, build_world: Callable[..., Any]) -> None:
    for what, evidence in nasty(build_world).items():
        assert check(each, evidence), what


def check(each: Gate, evidence: Evidence, expected: frozenset[str] | set[str] = frozenset()) -> bool:
    verdicts = each.judge(evidence)
    assert verdicts
    for verdict in verdicts:
        assert verdict.gate == each.name
        assert re.search(r"\d", verdict.sentence), verdict.sentence
        assert verdict.sentence[0].isupper() or verdict.sentence[0].isdigit()
        assert "  " not in verdict.sentence
        assert not (verdict.outcome == "passed" and verdict.value is None)
        assert verdict.value is None or np.isfinite(verdict.value)
        if expected:
            assert verdict.outcome in expected, verdict.sentence
    return True


def test_importing_gates_is_light() -> None:
    """Polars and NumPy may be loaded: a project file, which is what names gates, imports Polars itself."""
    names = ", ".join(sorted({kind.__module__ for kind in CLASSES} | {gate.__module__, "everfit.gates.judge"}))
    heavy = {"pandera", "scipy", "sklearn", "pandas", "mlflow"}
    code = f"import sys, {names}; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_verdicts_are_verdicts(build_world: Callable[..., Any]) -> None:
    for each in GATES:
        assert all(isinstance(verdict, Verdict) for verdict in each.judge(build_world(rows=250).evidence))
