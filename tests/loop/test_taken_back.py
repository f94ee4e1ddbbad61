"""Bad models that pass every gate: the running system takes them back by itself, and no caller goes unanswered."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.loop.parcels import FAILS_ON_THE_RARE, MODEL, REWRITTEN_FIELD, Life, make_champion, release, running
from tests.serving.test_deployment import wait_for

from everfit.core.rollout import Rollout
from everfit.journal.tables import scan_failures

pytestmark = pytest.mark.slow

SHADOW_FIRST = "ef.Shadow(2_000), ef.Canary(0.2, 500)"
CANARY_ONLY = "ef.Canary(0.5, 20_000)"
SOON = "ef.Shadow(60), ef.Canary(0.5, 60), watch='1d'"


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_champion(tmp_path_factory.mktemp("taken-back") / "parcels")


@pytest.fixture
def own(champion: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(champion, tmp_path / "parcels"))


def ended(rollout: Rollout) -> bool:
    return rollout.ended


def watched(rollout: Rollout) -> bool:
    return rollout.state == "watching" or rollout.ended


def assert_taken_back(life: Life, rollout: Rollout, *, action: str) -> None:
    """The champion of before answers alone; ledger, registry, deployment and audit agree; everybody got an answer."""
    system = life.system
    assert rollout.history[-1].actor == "policy"
    # The ledger is written first, the order is ended last.
    wait_for(lambda: system.orders.of(MODEL)[-1].state == "taken_back")
    present = system.deployment.read()
    assert present is not None
    [deployed] = present.models
    assert (deployed.champion.version, deployed.canary, deployed.shadow) == (1, None, None)
    named = system.registry.champion(MODEL)
    assert named is not None
    assert named.version == 1
    [order] = system.orders.of(MODEL)
    assert (order.state, order.version) == ("taken_back", 2)
    assert order.order.cause.startswith("new_release/")
    newest = next(line for line in system.audit.read(MODEL) if line.version == 2)
    assert (newest.action, newest.actor, newest.reason) == (action, "policy", rollout.history[-1].sentence)
    assert len(life.answers) == life.asked
    assert all(isinstance(each.value, float) for each in life.answers)


def test_a_field_that_history_rewrote_is_found_out_in_shadow(own: Path) -> None:
    release(own, REWRITTEN_FIELD, plan=SHADOW_FIRST)
    with running(own) as url:
        life = Life(own, url)
        assert life.wait_for_newcomer().state == "shadow"
        rollout = life.go_on(ended)
        assert rollout.state == "refused"
        assert "log loss is" in rollout.history[-1].sentence
        assert_taken_back(life, rollout, action="refuse")
    # Nobody heard it.
    assert {each.version for each in life.answers} == {1}


def test_a_field_that_history_rewrote_is_taken_back_once_outcomes_come(own: Path) -> None:
    release(own, REWRITTEN_FIELD, plan=SOON)
    with running(own) as url:
        life = Life(own, url)
        life.wait_for_newcomer()
        assert life.go_on(watched, tell=False).state == "watching"
        rollout = life.go_on(ended)
        assert rollout.state == "rolled_back"
        assert "log loss is" in rollout.history[-1].sentence
        assert_taken_back(life, rollout, action="roll_back")


@pytest.mark.parametrize("plan", [SHADOW_FIRST, CANARY_ONLY])
def test_who_fails_on_a_rare_kind_is_not_promoted(own: Path, plan: str) -> None:
    release(own, FAILS_ON_THE_RARE, plan=plan)
    with running(own) as url:
        life = Life(own, url)
        stage = life.wait_for_newcomer().state
        rollout = life.go_on(ended, drones=0.04)
        assert rollout.state == "refused"
        assert "could not answer" in rollout.history[-1].sentence
        assert_taken_back(life, rollout, action="refuse")
        failures = scan_failures(life.system.lake, life.system.journal, MODEL).collect()
    assert set(failures["version"]) == {2}
    assert set(failures["route"]) == {stage}
    heard = sum(each.version == 2 for each in life.answers)
    assert heard == 0 if stage == "shadow" else 0 < heard < 0.6 * life.asked


def test_who_fails_on_a_kind_that_comes_late_is_rolled_back(own: Path) -> None:
    release(own, FAILS_ON_THE_RARE, plan=SOON)
    with running(own) as url:
        life = Life(own, url)
        life.wait_for_newcomer()
        assert life.go_on(watched).state == "watching"
        before = len(life.answers)
        rollout = life.go_on(ended, drones=0.04)
        assert rollout.state == "rolled_back"
        assert "could not answer" in rollout.history[-1].sentence
        assert_taken_back(life, rollout, action="roll_back")
    # While it was the champion, the one before it stood in where it failed.
    assert {1, 2} <= {each.version for each in life.answers[before:]}
