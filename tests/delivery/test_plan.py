"""What a project may say of rollouts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tests.serving.orders import define

import everfit as ef
from everfit.core.errors import DefinitionError
from everfit.definitions.rollout import RolloutPlan


def test_a_model_that_says_nothing_is_rolled_out_with_care() -> None:
    plan = define().rollout_plan
    assert plan.stages == (ef.Shadow(200), ef.Canary(0.1, 200), ef.Canary(0.5, 200))
    assert (plan.watching.days, plan.approval) == (7, "none")
    assert all(stage.longest is not None for stage in plan.stages)


def test_the_documentation_shows_a_plan(repository: Path) -> None:
    spec = importlib.util.spec_from_file_location("roll_out", repository / "docs" / "snippets" / "roll_out.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = define()
    module.plan(model)
    assert model.rollout_plan.approval == "required"
    assert [each.share for each in model.rollout_plan.stages] == [0.0, 0.1, 0.5]
    assert model.rollout_plan.stages[0].shortest.total_seconds() == 3600


@pytest.mark.parametrize(
    ("stages", "more", "said"),
    [
        ((), {}, "at least one stage"),
        ((ef.Shadow(),), {"fast_when": "always"}, "fast_when must be one of champion is worse, proven better, never"),
        (("shadow",), {}, "must be Shadow or Canary"),
        ((ef.Shadow(),), {"watch": "soon"}, "watch must be a positive duration"),
        ((ef.Shadow(),), {"approval": "perhaps"}, "approval must be one of none, required"),
        ((ef.Shadow(),), {"alpha": 0}, "alpha must be a probability"),
        ((ef.Shadow(),), {"p99_ms": 0}, "p99_ms must be positive"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(stages: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        define().roll_out(*stages, **more)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ef.Canary(0), "above 0 and at most 1"),
        (lambda: ef.Canary(1.1), "above 0 and at most 1"),
        (lambda: ef.Shadow(0), "requests must be positive"),
        (lambda: ef.Shadow(at_least="soon"), "at_least must be a positive duration"),
        (lambda: ef.Shadow(at_least="2d", at_most="1d"), "must not be shorter"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(make: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        make()


def test_a_plan_is_a_value() -> None:
    assert RolloutPlan() == RolloutPlan()
    assert hash(RolloutPlan()) == hash(RolloutPlan())
