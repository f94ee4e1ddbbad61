"""The policies that the documentation shows."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.definitions.test_model import GOOD
from tests.triggers.situation import day, drop, facts

import everfit as ef
from everfit.triggers.decide import consider


def test_they_are_as_the_page_says(repository: Path) -> None:
    shown = runpy.run_path(str(repository / "docs" / "snippets" / "retraining.py"))
    late_order = ef.Model("late_order", **GOOD)
    shown["as_most_do"](late_order)
    old = consider(late_order.policy, facts(rows_since=10_000), [], day(91)).order
    assert old is not None
    assert old.cause == "stale_model/v3 & new_data/v3/10000"
    assert ef.PerformanceDrop(by=0.02, alpha=0.01) in late_order.watches
    shown["by_people_only"](late_order)
    never = consider(late_order.policy, facts(drop()), [], day(400))
    assert never.sentence == "No trigger holds: the policy has none, so only people order trainings."
