"""Who answers follows from where a rollout is."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.delivery.situation import START, rollout

from everfit.core.errors import UnknownVersionError
from everfit.core.rollout import apply_transition
from everfit.delivery import manual_steps
from everfit.delivery.alias_conflict import find_alias_conflict
from everfit.delivery.traffic import deployment_for
from everfit.store.deployment import Deployed, ModelDeployment

OLD, NEW = (Deployed(version=number, digest=f"sha256:{number}", folder=f"v{number}") for number in (3, 4))
PACKAGES = {3: OLD, 4: NEW}
ALONE = ModelDeployment(model="late", champion=OLD)
EVERYBODY = ModelDeployment(model="late", champion=NEW, canary=NEW, canary_share=0.3, shadow=OLD, loaded=False)


@pytest.mark.parametrize("present", [ALONE, EVERYBODY])
@pytest.mark.parametrize(
    ("state", "stage", "wanted"),
    [
        ("shadow", 0, {"champion": OLD, "shadow": NEW}),
        ("canary", 1, {"champion": OLD, "canary": NEW, "canary_share": 0.1}),
        ("canary", 2, {"champion": OLD, "canary": NEW, "canary_share": 0.5}),
        ("watching", 2, {"champion": NEW, "shadow": OLD}),
        ("kept", 2, {"champion": NEW}),
        ("rolled_back", 2, {"champion": OLD}),
        ("refused", 1, {"champion": OLD}),
    ],
)
def test_each_state_has_its_lineup(present: ModelDeployment, state: Any, stage: int, wanted: dict[str, Any]) -> None:
    own = rollout(state, stage)
    found = deployment_for(present, own, PACKAGES)
    assert found == ModelDeployment(model="late", loaded=present.loaded, **wanted)
    assert deployment_for(found, own, PACKAGES) == found
    if not own.ended:
        paused = apply_transition(own, manual_steps.pause(own, actor="ada", reason="a fair"), START)
        assert deployment_for(found, paused, PACKAGES) == found


@pytest.mark.parametrize("state", ["waiting_approval", "superseded"])
def test_what_is_not_tried_changes_nothing(state: Any) -> None:
    assert deployment_for(EVERYBODY, rollout(state), PACKAGES) == EVERYBODY


def test_a_third_version_that_somebody_let_answer_stays() -> None:
    other = replace(ALONE, champion=replace(OLD, version=9))
    assert deployment_for(other, rollout("refused"), PACKAGES) == other


def test_without_a_champion_or_a_package_nothing_can_be_done() -> None:
    with pytest.raises(UnknownVersionError, match="there is none"):
        deployment_for(None, rollout(), PACKAGES)
    with pytest.raises(UnknownVersionError, match="must be there"):
        deployment_for(ALONE, rollout(), {3: OLD})


@pytest.mark.parametrize(
    ("registry", "deployed", "state", "recorded", "remedy"),
    [
        (3, 3, None, 3, None),
        (None, 3, None, 3, None),
        (4, None, None, None, None),
        (4, 3, None, 3, "gate"),
        (4, 3, None, None, "gate"),
        (4, 3, None, 4, "follow"),
        (4, 3, "canary", 3, "wait"),
        (4, 3, "waiting_approval", 3, "wait"),
        (4, 3, "watching", 4, "follow"),
        (4, 3, "kept", 4, "follow"),
        (4, 3, "refused", 3, "restore"),
        (4, 3, "rolled_back", 3, "restore"),
        (4, 3, "refused", 4, "follow"),
        (3, 4, "rolled_back", 3, "follow"),
        (3, 4, "kept", 4, "gate"),
        (5, 3, "canary", 3, "gate"),
    ],
)
def test_an_alias_that_somebody_moved_is_noticed(
    registry: int | None, deployed: int | None, state: Any, recorded: int | None, remedy: str | None
) -> None:
    known = () if state is None else (rollout(state),)
    found = find_alias_conflict(registry, deployed, known, recorded_champion=recorded)
    assert (found and found.remedy) == remedy
