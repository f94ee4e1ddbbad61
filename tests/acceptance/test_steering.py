"""Persons steer the loop, and somebody moves an alias in MLflow itself: with the real registry and ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tests.acceptance.shop import AS_OF, everfit

from everfit.loop.alias_reconciler import reconcile
from everfit.system import System
from everfit.wiring import open_system


@pytest.fixture
def two(own: Path) -> Path:
    """A project with a champion, and a challenger that passed its gates."""
    answer = everfit(own, "train", *AS_OF)
    assert answer.code == 0, answer.err + answer.out
    return own


def said(folder: Path, *words: str) -> Any:
    answer = everfit(folder, *words, "--json")
    assert answer.code == 0, answer.err + answer.out
    return answer.json


def champion(system: System) -> tuple[int, int, int | None]:
    """Whom the registry names, who answers, and who is asked as well."""
    named, record = system.registry.champion("late"), system.deployment.read()
    assert named is not None
    assert record is not None
    [model] = record.models
    return named.version, model.champion.version, model.shadow.version if model.shadow else None


@pytest.mark.slow
def test_a_rollout_is_begun_halted_and_taken_back(two: Path) -> None:
    system = open_system(two)
    begun = said(two, "rollouts", "begin", "late", "--reason", "the summer")
    assert (begun["version"], begun["previous"], begun["state"]) == (2, 1, "shadow")
    assert champion(system) == (1, 1, 2)
    assert said(two, "rollouts", "pause", "late", "--reason", "a holiday")["state"] == "paused"
    assert said(two, "rollouts", "resume", "late")["state"] == "shadow"
    promoted = said(two, "promote", "late", "2", "--reason", "no time to lose")
    assert promoted["version"] == 2
    # The one before it goes on in shadow: both are watched on the same rows.
    assert champion(system) == (2, 2, 1)
    assert said(two, "rollback", "late", "--reason", "complaints")["version"] == 1
    assert champion(system) == (1, 1, None)
    deeds = [(each["action"], each["reason"].partition(": ")[2] or each["reason"]) for each in said(two, "audit")]
    assert deeds[0][0] == "roll_back"
    assert deeds[0][1].rstrip(".") == "complaints"
    assert [deed for deed, _ in reversed(deeds)][-5:] == ["begin", "pause", "resume", "promote", "roll_back"]
    assert everfit(two, "rollouts", "pause", "late").code == 2


@pytest.mark.slow
def test_an_alias_that_was_moved_in_mlflow_is_gated_and_delivered(two: Path) -> None:
    system = open_system(two)
    mlflow = MlflowClient(tracking_uri=f"sqlite:///{two}/.everfit/tracking.db")
    mlflow.set_registered_model_alias("late", "champion", "2")
    found = reconcile(system, "late", system.clock.now())
    assert found is not None
    assert found.remedy == "gate"
    # It goes through the stages like any other.
    assert champion(system) == (2, 1, 2)
    [rollout] = said(two, "rollouts", "list", "late")
    assert (rollout["version"], rollout["state"]) == (2, "shadow")
    again = reconcile(system, "late", system.clock.now())
    assert again is not None
    assert again.remedy == "wait"
    said(two, "rollback", "late", "--reason", "not this one")
    restored = reconcile(system, "late", system.clock.now())
    assert restored is None or restored.remedy == "restore"
    assert champion(system) == (1, 1, None)


@pytest.mark.slow
def test_a_version_without_gates_gives_the_alias_back(two: Path) -> None:
    system = open_system(two)
    mlflow = MlflowClient(tracking_uri=f"sqlite:///{two}/.everfit/tracking.db")
    mlflow.set_tag(system.registry.version("late", 2).run_id, "everfit.gates", "failed")
    mlflow.set_registered_model_alias("late", "champion", "2")
    reconcile(system, "late", system.clock.now())
    assert champion(system) == (1, 1, None)
    assert said(two, "rollouts", "list", "late") == []
    assert "There is no report of gates" in said(two, "audit")[0]["reason"]


def test_orders_are_given_and_cancelled(own: Path) -> None:
    order = said(own, "orders", "give", "late", "--reason", "new tariff")
    assert (order["state"], order["order"]["reason"]) == ("open", "new tariff")
    assert said(own, "status")["models"][0]["order"]["number"] == order["number"]
    assert said(own, "orders", "cancel", str(order["number"]), "--reason", "no need")["state"] == "cancelled"
    assert everfit(own, "orders", "cancel", str(order["number"])).code == 2
    by_hand, given = said(own, "orders", "list")
    assert (by_hand["state"], given["state"]) == ("registered", "cancelled")
