"""The timeline: what the ledger says, each thing once and in its order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from everfit.cli.timeline import sparklines, timeline
from everfit.core.finding import Finding, FindingKind, Incident
from everfit.core.order import OrderRecord, RetrainOrder
from everfit.core.rollout import Rollout, TransitionRecord
from everfit.definitions.rollout import Canary, RolloutPlan, Shadow

START = datetime(2026, 1, 25, tzinfo=UTC)
PLAN = RolloutPlan(stages=(Shadow(10), Canary(0.25, 10)))


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def incident(number: int, kind: FindingKind, hours: float, *, over: float | None = None) -> Incident:
    finding = Finding(kind=kind, model="late", severity="warning", sentence="It is worse by 0.1. By much.")
    resolved = None if over is None else at(over)
    return Incident(
        number=number, key=finding.key, finding=finding, opened_at=at(hours), updated_at=at(hours), resolved_at=resolved
    )


def order(state: str, **more: object) -> OrderRecord:
    asked = RetrainOrder(model="late", cause="drop#1", reason="It is worse by 0.1.", asked_at=at(2), actor="policy")
    return OrderRecord(number=1, order=asked, state=state, **more)  # type: ignore[arg-type]


def test_cause_and_effect_stand_in_their_order() -> None:
    history = (
        TransitionRecord(at=at(3), actor="policy", action="begin", state="shadow", stage=0, sentence="It is worse."),
        TransitionRecord(
            at=at(5), actor="policy", action="next", state="canary", stage=1, sentence="Nothing spoke against it."
        ),
        TransitionRecord(
            at=at(6), actor="policy", action="promote", state="watching", stage=1, sentence="Nothing did again."
        ),
    )
    rollout = Rollout(
        number=1, model="late", version=2, previous=1, cause="", state="watching", began_at=at(3), entered_at=at(6),
        history=history,
    )  # fmt: skip
    found = timeline([incident(1, "performance_drop", 2, over=8)], [order("delivering")], [rollout], made={}, plan=PLAN)
    assert [each.what for each in found] == ["finding", "order", "rollout", "rollout", "champion", "over"]
    assert found[1].sentence == "Training order 1 by policy: It is worse by 0.1."
    assert "serves 25% of the orders" in found[3].sentence
    assert found[4].sentence == "Nothing did again. Version 2 is the champion, and version 1 runs as shadow."
    assert len({each.key for each in found}) == len(found)


def test_what_comes_and_goes_is_told_once_and_a_drop_each_time() -> None:
    incidents = [
        incident(1, "stale_source", 1, over=2),
        incident(2, "stale_source", 3),
        incident(3, "performance_drop", 4, over=5),
        incident(4, "performance_drop", 6),
        incident(5, "candidate_refused", 7),
    ]
    found = timeline(incidents, [], [], made={}, plan=PLAN)
    assert [each.key for each in found] == ["incident/1", "incident/3", "incident/3/over", "incident/4"]


def test_what_an_order_came_to_is_told_once_it_is_settled() -> None:
    failed = order("failed", started_at=at(2), ended_at=at(3), sentence="The training failed: no rows.")
    assert [each.what for each in timeline([], [order("running", started_at=at(2))], [], made={}, plan=PLAN)] == [
        "order"
    ]
    assert [each.sentence for each in timeline([], [failed], [], made={}, plan=PLAN)][1:] == [failed.sentence]


def test_sparklines_share_a_scale() -> None:
    assert sparklines([0.0, 1.0], [0.5, float("nan")]) == ("▁█", "▅ ")
    assert sparklines([2.0, 2.0]) == ("▁▁",)
    assert sparklines([]) == ("",)
