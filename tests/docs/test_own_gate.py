"""The gates that the documentation shows."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.definitions.test_model import GOOD

import everfit as ef
from everfit.gates.judge import gates_of


@pytest.fixture
def shown(repository: Path) -> dict[str, Any]:
    return runpy.run_path(str(repository / "docs" / "snippets" / "own_gate.py"))


@pytest.mark.parametrize(("predicted", "outcome"), [([0.1, 0.9], "passed"), ([0.4, 0.4], "failed")])
def test_a_constant_model_fails(shown: dict[str, Any], repository: Path, predicted: list[float], outcome: str) -> None:
    (verdict,) = shown["answers_vary"].judge(SimpleNamespace(predicted=np.array(predicted)))
    assert (verdict.gate, verdict.outcome, verdict.threshold) == ("answers_vary", outcome, 0.01)
    mark = {"passed": "✓", "failed": "✗"}[outcome]
    page = (repository / "docs" / "howto" / "own-gate.md").read_text(encoding="utf-8")
    assert f"  {mark} {verdict.gate}  {verdict.sentence}" in page


@pytest.mark.parametrize(("champion", "outcome"), [(None, "passed"), ([0.1, 0.9], "passed"), ([0.9, 0.1], "failed")])
def test_a_first_version_has_no_champion(shown: dict[str, Any], champion: list[float] | None, outcome: str) -> None:
    answers = None if champion is None else np.array(champion)
    (verdict,) = shown["close_to_champion"].judge(SimpleNamespace(predicted=np.array([0.1, 0.9]), champion=answers))
    assert verdict.outcome == outcome


def test_they_come_beside_the_standard_ones(shown: dict[str, Any]) -> None:
    model = ef.Model("late_order", **GOOD)
    before = len(gates_of(model))
    shown["use"](model)
    assert len(gates_of(model)) == before + 1
