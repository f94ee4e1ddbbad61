"""Decisions on releases, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from everfit.core.order import OrderRecord, OrderState, RetrainOrder
from everfit.core.records import AliasChange
from everfit.core.release import Release, ReleaseState
from everfit.core.rollout import Rollout, RolloutState, TransitionRecord
from everfit.loop.release_decisions import (
    ModelHistory,
    next_release,
    pin,
    reason_to_skip,
    reason_to_take_back,
    releases_to_collect,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
CODE = "sha256:new"


def hour(number: float) -> datetime:
    """So many hours after noon."""
    return NOON + timedelta(hours=number)


def release(number: int, state: ReleaseState, *, asked: float | None = None, **more: Any) -> Release:
    letter = "0123456789abcdef"[number]
    return Release(
        number=number,
        commit=letter * 40,
        ref="refs/heads/main",
        subject=f"change {number}",
        actor="watch",
        asked_at=hour(number if asked is None else asked),
        state=state,
        **more,
    )


@pytest.mark.parametrize(
    ("present", "start", "superseded"),
    [
        ([], None, []),
        ([release(1, "active")], None, []),
        ([release(1, "active"), release(2, "waiting")], 2, []),
        ([release(2, "waiting"), release(3, "waiting"), release(4, "waiting")], 4, [2, 3]),
        ([release(2, "running"), release(3, "waiting"), release(4, "waiting")], None, [3]),
        # The one that was asked for last, such as an old commit that a person wants.
        ([release(2, "waiting", asked=9), release(3, "waiting")], 2, [3]),
    ],
)
def test_the_newest_is_next_and_one_runs_at_a_time(
    present: list[Release], start: int | None, superseded: list[int]
) -> None:
    found = next_release(present)
    assert (found.start and found.start.number) == start
    assert [older.number for older in found.superseded] == superseded


@pytest.mark.parametrize(
    ("known", "actor", "words"),
    [
        ([], "watch", ""),
        ([release(1, "active", content="other")], "watch", ""),
        ([release(1, "active", content="same")], "watch", "those of release 1 (1111111: change 1), which is active."),
        ([release(1, "active", content="same")], "ada", "which is active."),
        ([release(1, "taken_back", content="same")], "watch", "which was taken back."),
        ([release(1, "taken_back", content="same")], "ada", ""),
        ([release(1, "refused", content="same")], "watch", ""),
        ([release(1, "retired", content="same"), release(3, "active", content="other")], "watch", ""),
    ],
)
def test_code_that_is_no_news_is_not_tested(known: list[Release], actor: str, words: str) -> None:
    wanted = replace(release(9, "running", content="same"), actor=actor)
    sentence = reason_to_skip(wanted, [*known, wanted])
    assert sentence.endswith(words)
    assert bool(sentence) == bool(words)


ACTIVE = release(2, "active", code=CODE, activated_at=hour(2))


def order(
    number: int,
    state: OrderState,
    *,
    model: str = "late",
    version: int | None = None,
    asked: float = 3,
    cause: str = f"new_release/{CODE}",
) -> OrderRecord:
    asked_for = RetrainOrder(model=model, cause=cause, reason="It is new.", asked_at=hour(asked), actor="policy")
    return OrderRecord(number=number, order=asked_for, state=state, version=version, sentence=f"So it was {state}.")


def rollout(version: int, state: RolloutState, actor: str, *, at: float = 4) -> Rollout:
    last = TransitionRecord(
        at=hour(at),
        actor=actor,
        action="roll_back",
        state=state,
        stage=0,
        sentence=f"{actor} took it back: complaints.",
    )
    return Rollout(
        number=1, model="late", version=version, previous=1, cause="It is new.", state=state, began_at=hour(3),
        entered_at=hour(at), history=(last,),
    )  # fmt: skip


def champion(version: int, actor: str, *, at: float) -> AliasChange:
    return AliasChange(
        model="late", alias="champion", version=version, changed_at=hour(at), actor=actor, reason="complaints."
    )


def history(*orders: OrderRecord, rollouts: Any = (), changes: Any = ()) -> ModelHistory:
    return ModelHistory(orders=orders, rollouts=rollouts, changes=changes)


SHIPPED = order(7, "shipped", version=2)
WENT_LIVE = (champion(1, "ada", at=1), champion(2, "policy", at=4))


@pytest.mark.parametrize(
    ("histories", "words"),
    [
        # What it caused decides, once all of it has ended.
        ([history()], ""),
        ([history(order(7, "refused", cause="every/1"))], ""),
        ([history(order(7, "refused", asked=1))], ""),
        ([history(order(7, "running"))], ""),
        ([history(order(7, "refused"))], "late: order 7: So it was refused."),
        ([history(order(7, "failed"))], "late: order 7: So it was failed."),
        ([history(order(7, "taken_back"))], "late: order 7: So it was taken_back."),
        ([history(order(7, "failed"), order(8, "running", cause=f"new_release/{CODE}/again-1"))], ""),
        ([history(order(7, "refused", cause=f"every/1 & new_release/{CODE}"))], "late: order 7"),
        # One model that got better is reason enough to stay; a person's cancelling says nothing.
        ([history(SHIPPED), history(order(8, "refused", model="early"))], ""),
        ([history(order(7, "refused")), history(order(8, "delivering", model="early"))], ""),
        ([history(order(7, "refused")), history(order(8, "cancelled", model="early"))], "late: order 7"),
        ([history(order(7, "cancelled"))], ""),
        # A person took its version back: in the rollout, or the champion.
        (
            [history(order(7, "delivering", version=2), rollouts=[rollout(2, "refused", "ada")])],
            "late: version 2: ada took it back: complaints.",
        ),
        ([history(SHIPPED, rollouts=[rollout(2, "rolled_back", "ada")])], "late: version 2: ada"),
        ([history(SHIPPED, rollouts=[rollout(2, "rolled_back", "policy")])], ""),
        ([history(SHIPPED, rollouts=[rollout(9, "rolled_back", "ada")])], ""),
        ([history(SHIPPED, rollouts=[rollout(2, "rolled_back", "ada", at=1)])], ""),
        ([history(SHIPPED, changes=WENT_LIVE)], ""),
        (
            [history(SHIPPED, changes=(*WENT_LIVE, champion(1, "ada", at=9)))],
            "late: ada made version 1 the champion instead of version 2: complaints.",
        ),
        ([history(SHIPPED, changes=(*WENT_LIVE, champion(1, "policy", at=9)))], ""),
        ([history(SHIPPED, changes=(*WENT_LIVE, champion(3, "ada", at=9)))], ""),
        ([history(SHIPPED, changes=(*WENT_LIVE, champion(3, "ada", at=9), champion(2, "ada", at=10)))], ""),
    ],
)
def test_a_release_is_taken_back_for_what_became_of_it(histories: list[ModelHistory], words: str) -> None:
    found = reason_to_take_back(ACTIVE, {f"model {number}": known for number, known in enumerate(histories)})
    found = found.replace("model 0", "late")
    assert found.startswith(words)
    assert bool(found) == bool(words)


@pytest.mark.parametrize(
    ("releases", "words"),
    [
        ([], []),
        ([release(1, "active")], []),
        ([release(1, "retired"), release(2, "active")], []),
        ([release(1, "active"), release(2, "waiting")], []),
        ([release(1, "active"), release(2, "unchanged"), release(3, "superseded")], []),
        ([release(1, "refused", sentence="No.")], ["pinned because release 1"]),
        (
            [release(1, "active"), release(2, "refused", sentence="tests: 1 failed.")],
            [
                "pinned because release 2 (2222222: change 2) was refused: tests: 1 failed.",
                "'everfit release 2222222 --again'",
            ],
        ),
        ([release(1, "active"), release(2, "taken_back"), release(3, "superseded")], ["release 2", "was taken back"]),
        ([release(1, "retired"), release(2, "refused"), release(3, "active")], []),
        ([release(1, "active", asked=5), release(2, "refused")], []),
    ],
)
def test_status_says_why_the_newest_commit_is_not_what_runs(releases: list[Release], words: list[str]) -> None:
    sentence = pin(releases)
    assert bool(sentence) == bool(words)
    assert all(part in sentence for part in words), sentence


def built(number: int, state: ReleaseState, *, ended: float | None = None, **more: Any) -> Release:
    """A release whose tree was made."""
    ended_at = None if state in {"waiting", "running"} else hour(number if ended is None else ended)
    return release(number, state, tree=f"releases/trees/{number}", ended_at=ended_at, **more)


OLD = [built(number, "retired") for number in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("releases", "needed", "keep", "collected"),
    [
        ([], [], 1, []),
        (OLD[:1], [], 1, []),
        (OLD, [], 1, [1, 2, 3]),
        (OLD, [], 4, []),
        # Those that are needed are no longer counted.
        (OLD, [4, 1], 1, [2]),
        # The active one, and the one before it, which a take-back makes active again.
        ([*OLD, built(5, "active", previous=1)], [], 1, [2, 3]),
        ([*OLD, built(5, "active")], [], 1, [1, 2, 3]),
        # The one that ended last, whatever its number: an old commit was released again.
        ([built(1, "retired", ended=9), *OLD[1:]], [], 1, [2, 3, 4]),
        # What has not ended needs its folders, and is not counted.
        ([*OLD, built(5, "running"), built(6, "waiting")], [], 1, [1, 2, 3]),
        ([built(1, "refused"), built(2, "failed"), built(3, "cancelled"), built(4, "taken_back")], [], 2, [1, 2]),
        # It has the code of another one, and takes the place of none.
        ([*OLD, built(5, "unchanged")], [], 1, [1, 2, 3, 5]),
        ([built(5, "unchanged")], [], 1, [5]),
        # Nothing was made for it, or nothing is there any more.
        ([release(1, "superseded"), *OLD[1:]], [], 1, [2, 3]),
        ([built(1, "retired", collected_at=NOON), *OLD[1:]], [], 1, [2, 3]),
    ],
)
def test_what_nothing_needs_is_collected_but_for_the_newest(
    releases: list[Release], needed: list[int], keep: int, collected: list[int]
) -> None:
    assert [found.number for found in releases_to_collect(releases, needed, keep=keep)] == collected
