"""The gate that the documentation shows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize(("predicted", "outcome"), [([0.1, 0.9], "passed"), ([0.4, 0.4], "failed")])
def test_it_tells_a_constant_model(repository: Path, predicted: list[float], outcome: str) -> None:
    spec = importlib.util.spec_from_file_location("own_gate", repository / "docs" / "snippets" / "own_gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    evidence: Any = SimpleNamespace(predicted=np.array(predicted))
    (verdict,) = module.answers_vary.judge(evidence)
    assert (verdict.gate, verdict.outcome, verdict.threshold) == ("answers_vary", outcome, 0.01)
    assert verdict.sentence.startswith("Not every row may get the same answer.")
