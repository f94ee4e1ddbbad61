"""Every way that a rollout can go from every place."""

from __future__ import annotations

from dataclasses import replace as replace_plan
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.delivery.situation import DAY, HOUR, PLAN, START, alike, compared, evidence, rollout

from everfit.core.errors import MisuseError
from everfit.core.rollout import ENDED, Rollout, Transition, VersionMetrics, apply_transition
from everfit.definitions.rollout import RolloutPlan, Shadow
from everfit.delivery import manual_steps
from everfit.delivery.state_machine import advance

FINE = evidence(1_000)
WORSE = evidence(1_000, compared=compared(0.05, 0.01))
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("state", "stage", "found", "after", "action", "leads_to"),
    [
        ("waiting_approval", 0, WORSE, 9 * DAY, "stay", "waiting_approval"),
        ("shadow", 0, evidence(), HOUR, "stay", "shadow"),
        ("shadow", 0, evidence(99), DAY, "stay", "shadow"),
        ("shadow", 0, evidence(100), 59 * MINUTE, "stay", "shadow"),
        ("shadow", 0, evidence(100), HOUR, "next", "canary"),
        ("shadow", 0, evidence(), 2 * DAY, "next", "canary"),
        ("shadow", 0, WORSE, MINUTE, "refuse", "refused"),
        ("canary", 1, evidence(99), DAY, "stay", "canary"),
        ("canary", 1, evidence(100), timedelta(0), "next", "canary"),
        ("canary", 1, evidence(), 2 * DAY, "next", "canary"),
        ("canary", 1, evidence(90, failed=2), HOUR, "refuse", "refused"),
        ("canary", 2, evidence(199), DAY, "stay", "canary"),
        ("canary", 2, evidence(200), DAY, "promote", "watching"),
        ("canary", 2, evidence(), 7 * DAY, "promote", "watching"),
        ("canary", 2, WORSE, DAY, "refuse", "refused"),
        ("watching", 2, FINE, 3 * DAY - MINUTE, "stay", "watching"),
        ("watching", 2, FINE, 3 * DAY, "keep", "kept"),
        ("watching", 2, evidence(), 3 * DAY, "keep", "kept"),
        ("watching", 2, WORSE, MINUTE, "roll_back", "rolled_back"),
        ("watching", 2, WORSE, 9 * DAY, "roll_back", "rolled_back"),
        ("watching", 2, evidence(5_000, failed=20), HOUR, "roll_back", "rolled_back"),
        *((ended, 2, WORSE, 9 * DAY, "stay", ended) for ended in ENDED),
    ],
)
def test_each_place_leads_where_it_should(
    state: Any, stage: int, found: Any, after: timedelta, action: str, leads_to: str
) -> None:
    step = advance(rollout(state, stage), PLAN, found, START + after)
    assert (step.action, step.state) == (action, leads_to)
    assert step.sentence.endswith(".")
    if action in {"next", "promote"}:
        assert step.stage == min(stage + 1, 2)
        assert step.share == (PLAN.stages[step.stage].share if action == "next" else 0.0)


@pytest.mark.parametrize(
    ("found", "state", "said"),
    [
        (evidence(400, failed=3, problem="KeyError: 'blue'"), "shadow", "could not answer 3 of 400 rows (KeyError"),
        (evidence(400, non_finite=1), "shadow", "1 of 400 predictions"),
        (evidence(200, distance=alike(spread=0.001)), "canary", "hardly differ"),
        (evidence(200, distance=alike(0.6)), "shadow", "at least 0.60"),
        (evidence(200, distance=alike(0.6), compared=compared(0.02, -0.01)), "shadow", "at least 0.60"),
        (WORSE, "watching", "log loss is 0.5500 on 400 rows that both predicted"),
    ],
)
def test_what_speaks_against_a_version_is_said_with_its_numbers(found: Any, state: Any, said: str) -> None:
    step = advance(rollout(state, 1), PLAN, found, START)
    assert step.state in {"refused", "rolled_back"}
    assert said in step.sentence


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (evidence(400, failed=1), "shadow"),
        (evidence(400, failed=3, champion_failed=20), "canary"),
        (evidence(200, distance=alike(0.4)), "shadow"),
        # Outcomes know better than the distribution of answers.
        (evidence(200, distance=alike(0.9), compared=compared(-0.1, -0.2)), "shadow"),
        (evidence(200, distance=alike(0.9, spread=0.0)), "watching"),
        (evidence(200, compared=compared(0.05, -0.001)), "watching"),
        (evidence(200, compared=compared(0.05, None, rows=40)), "watching"),
        # Beyond doubt, and of no consequence.
        (evidence(10**6, compared=compared(0.004, 0.003)), "watching"),
    ],
)
def test_what_may_be_noise_or_a_trifle_takes_nothing_back(found: Any, state: Any) -> None:
    assert advance(rollout(state, 1), PLAN, found, START).state not in {"refused", "rolled_back"}


BETTER = compared(-0.05, -0.09, -0.01)


@pytest.mark.parametrize("when", ["champion is worse", "proven better", "never"])
@pytest.mark.parametrize("is_worse", [True, False])
@pytest.mark.parametrize(("state", "stage"), [("shadow", 0), ("canary", 1), ("canary", 2)])
def test_a_version_that_is_proven_better_skips_what_is_left_where_that_is_asked(
    state: Any, stage: int, is_worse: bool, when: Any
) -> None:
    plan = replace_plan(PLAN, fast_when=when)
    step = advance(rollout(state, stage), plan, evidence(60, compared=BETTER, champion_is_worse=is_worse), START)
    skips = when == "proven better" or (when == "champion is worse" and is_worse)
    assert (step.action, step.state) == (("promote", "watching") if skips else ("stay", state))
    if skips:
        assert "Version 4 is proven better than version 3" in step.sentence
        assert "log loss is 0.4500 against 0.5000 on 400 rows that both predicted, better by at least" in step.sentence


@pytest.mark.parametrize(
    "found",
    [
        evidence(60, champion_is_worse=True),
        evidence(60, compared=compared(-0.05, -0.2, 0.001), champion_is_worse=True),
        evidence(60, compared=compared(-0.05, None), champion_is_worse=True),
    ],
)
def test_what_is_not_proven_skips_nothing(found: Any) -> None:
    assert advance(rollout(), PLAN, found, START).action == "stay"


def test_no_proof_passes_a_guardrail_a_pause_or_an_approval() -> None:
    found = evidence(400, failed=9, compared=BETTER, champion_is_worse=True)
    assert advance(rollout(), PLAN, found, START).state == "refused"
    fine = evidence(400, compared=BETTER, champion_is_worse=True)
    assert advance(rollout("waiting_approval"), PLAN, fine, START).action == "stay"
    paused = apply_transition(rollout(), manual_steps.pause(rollout(), actor="ada", reason="a fair"), START)
    assert advance(paused, PLAN, fine, START).action == "stay"


def test_slowness_counts_beyond_noise_and_where_it_is_comparable() -> None:
    slow = VersionMetrics(version=4, rows=90, timed=500, p99_ms=80.0, p99_low_ms=60.0, p99_high_ms=90.0)
    quick = VersionMetrics(version=3, rows=90, timed=500, p99_ms=8.0, p99_low_ms=6.0, p99_high_ms=10.0)
    found = evidence(90)
    found = replace(found, challenger=slow, champion=quick)
    assert advance(rollout("canary", 1), PLAN, found, START).state == "refused"
    assert advance(rollout("shadow"), PLAN, found, START).state == "shadow"
    assert advance(rollout("watching", 2), PLAN, found, START).state == "watching"
    limited = RolloutPlan(stages=PLAN.stages, p99_ms=50)
    assert "allowed are 50 ms" in advance(rollout("watching", 2), limited, found, START).sentence
    noisy = replace(found, challenger=replace(slow, p99_low_ms=25.0))
    assert advance(rollout("canary", 1), PLAN, noisy, START).state == "canary"


def test_without_traffic_time_goes_on_and_says_that_nothing_was_disproved() -> None:
    step = advance(rollout(), PLAN, evidence(3), START + 2 * DAY)
    assert step.action == "next"
    assert "only 3 of 100 rows; version 4 violated no guardrail" in step.sentence
    patient = RolloutPlan(stages=(Shadow(100, at_most=None),))
    assert advance(rollout(), patient, evidence(3), START + 999 * DAY).action == "stay"


def test_a_pause_stops_the_way_forward_and_not_the_brakes() -> None:
    paused = apply_transition(
        rollout("canary", 1), manual_steps.pause(rollout("canary", 1), actor="ada", reason="a fair"), START
    )
    assert (paused.state, paused.effective, paused.share) == ("paused", "canary", 0.1)
    assert advance(paused, PLAN, FINE, START + 99 * DAY).action == "stay"
    assert advance(paused, PLAN, WORSE, START).action == "refuse"
    resumed = apply_transition(paused, manual_steps.resume(paused, actor="ada", reason="it is over"), START + DAY)
    assert (resumed.state, resumed.stage, resumed.share, resumed.halted) == ("canary", 1, 0.1, None)
    assert resumed.entered_at == START + DAY


ACTIONS = ("look", "pause", "resume", "approve", "promote", "roll_back", "supersede")
EVIDENCE = st.sampled_from([evidence(), evidence(50), FINE, FINE, FINE, WORSE, evidence(1_000, failed=10)])


@settings(max_examples=300, deadline=None)
@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from([*ACTIONS, *["look"] * 8]), EVIDENCE, st.integers(0, 90)), max_size=25),
)
def test_whatever_happens(needs_approval: bool, events: list[tuple[str, Any, int]]) -> None:
    now = START
    present = rollout("waiting_approval" if needs_approval else "shadow")
    passed: set[int] = set()
    by_person = False
    for action, found, hours in events:
        now += hours * HOUR
        step = _step(action, present, found, now)
        if step is None:
            continue
        after = apply_transition(present, step, now)
        if present.ended:
            assert after is present
        if step.action == "next" or (step.action == "promote" and step.actor == "policy"):
            passed.add(present.stage)
        by_person |= step.action == "promote" and step.actor != "policy"
        if after.state in {"watching", "kept", "rolled_back"}:
            assert by_person or passed == {0, 1, 2}
        if needs_approval and not any(line.action == "approve" for line in after.history):
            assert by_person or after.effective in {"waiting_approval", "refused", "superseded"}
        if step.changes:
            # Carried out twice, or overtaken, it changes nothing.
            assert apply_transition(after, step, now) is after
            assert after.history[:-1] == present.history
        elif not after.ended:
            assert advance(after, PLAN, found, now) == step
        present = after


def _step(action: str, present: Rollout, found: Any, now: Any) -> Transition | None:
    if action == "look":
        return advance(present, PLAN, found, now)
    if action == "supersede":
        return None if present.ended else manual_steps.supersede(present, 5, actor="policy")
    try:
        if action == "approve":
            return manual_steps.approve(present, PLAN, actor="ada", reason="fine")
        return getattr(manual_steps, action)(present, actor="ada", reason="so be it")  # type: ignore[no-any-return]
    except MisuseError:
        return None
