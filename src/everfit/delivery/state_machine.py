"""Transitions of a rollout's state machine. Pure: the live loop and a backtest call the same functions."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from everfit.core.duration import format_roughly
from everfit.core.rollout import Action, Rollout, RolloutState, StageEvidence, Transition, TransitionRecord
from everfit.definitions.rollout import RolloutPlan, Shadow
from everfit.delivery.guardrails import guardrail_violations

POLICY = "policy"
"""The actor of automatic transitions."""


def begun_rollout(
    model: str,
    version: int,
    *,
    previous: int,
    plan: RolloutPlan,
    cause: str,
    now: datetime,
    order: int | None = None,
    actor: str = POLICY,
) -> Rollout:
    """Return a version's rollout at its beginning, without a number; ``previous`` is the champion."""
    first, waits = plan.stages[0], plan.approval == "required"
    state: RolloutState = "waiting_approval" if waits else "shadow" if isinstance(first, Shadow) else "canary"
    return Rollout(
        number=0,
        model=model,
        version=version,
        previous=previous,
        order=order,
        cause=cause,
        state=state,
        share=0.0 if waits else first.share,
        began_at=now,
        entered_at=now,
        history=(TransitionRecord(at=now, actor=actor, action="begin", state=state, stage=0, sentence=cause),),
    )


def advance(rollout: Rollout, plan: RolloutPlan, evidence: StageEvidence, now: datetime) -> Transition:
    """Decide a rollout's next transition.

    A guardrail violation takes the challenger back at once, even while a person has paused the rollout. A stage ends
    once it has enough rows and has lasted long enough, or when its longest time is over: then no guardrail was
    violated, however few rows there were. A challenger that is proven better is promoted at once where the plan says
    so, by default while an incident says that the champion has become worse. The action is ``stay``, ``next``,
    ``promote``, ``keep``, ``roll_back`` or ``refuse``.
    """
    if rollout.ended or rollout.effective == "waiting_approval":
        return _stay(rollout, _why_nothing(rollout))
    found = list(guardrail_violations(evidence, rollout.effective, p99_ms=plan.p99_ms))
    if found:
        return take_back(rollout, " ".join(found[:2]))
    if rollout.state == "paused":
        return _stay(rollout, _why_nothing(rollout))
    if rollout.state == "watching":
        return _watch(rollout, plan, evidence, now)
    if proof := _proof(plan, evidence):
        return within_stage(rollout, "promote", "watching", proof)
    return _try(rollout, plan, evidence, now)


def take_back(rollout: Rollout, sentence: str, *, actor: str = POLICY) -> Transition:
    """Return the transition after which the previous champion receives all traffic again."""
    if rollout.effective == "watching":
        return within_stage(rollout, "roll_back", "rolled_back", sentence, actor=actor)
    return within_stage(rollout, "refuse", "refused", sentence, actor=actor)


def enter(
    rollout: Rollout, plan: RolloutPlan, stage: int, action: Action, sentence: str, *, actor: str = POLICY
) -> Transition:
    """Return the transition into a stage of the plan."""
    entered = plan.stages[stage]
    state: RolloutState = "shadow" if isinstance(entered, Shadow) else "canary"
    return replace(within_stage(rollout, action, state, sentence, actor=actor), stage=stage, share=entered.share)


def within_stage(
    rollout: Rollout, action: Action, state: RolloutState, sentence: str, *, actor: str = POLICY
) -> Transition:
    """Return a transition that keeps the stage's number."""
    return Transition(
        place=len(rollout.history),
        action=action,
        actor=actor,
        state=state,
        stage=rollout.stage,
        share=rollout.share if state in {"canary", "paused"} else 0.0,
        sentence=sentence,
    )


def _stay(rollout: Rollout, sentence: str) -> Transition:
    return within_stage(rollout, "stay", rollout.state, sentence)


def _try(rollout: Rollout, plan: RolloutPlan, evidence: StageEvidence, now: datetime) -> Transition:
    # If the plan has become shorter since, its last stage is left to pass.
    number = min(rollout.stage, len(plan.stages) - 1)
    stage, lasted = plan.stages[number], now - rollout.entered_at
    rows = f"{evidence.requests:,} of {stage.requests:,} rows"
    name = f"{rollout.state} stage {number + 1} of {len(plan.stages)}"
    if evidence.requests >= stage.requests and lasted >= stage.shortest:
        sentence = f"Version {rollout.version} violated no guardrail in {name}, on {evidence.requests:,} rows."
    elif stage.longest is not None and lasted >= stage.longest:
        sentence = (
            f"The longest time of {name} was over after {format_roughly(lasted)} with only {rows}; version "
            f"{rollout.version} violated no guardrail."
        )
    else:
        return _stay(rollout, f"Version {rollout.version} is in {name}, with {rows} for {format_roughly(lasted)}.")
    sentence += _label_summary(evidence)
    if number + 1 < len(plan.stages):
        return enter(rollout, plan, number + 1, "next", sentence)
    return within_stage(rollout, "promote", "watching", sentence)


def _proof(plan: RolloutPlan, evidence: StageEvidence) -> str:
    """Return the sentence by which the stages that are left are skipped; empty if they are not."""
    is_enough = {"champion is worse": evidence.champion_is_worse, "proven better": True, "never": False}
    paired = next((comparison for comparison in evidence.comparisons if comparison.paired), None)
    if not is_enough[plan.fast_when] or paired is None or paired.at_most is None or paired.at_most >= 0:
        return ""
    why = "while an incident says that it has become worse" if evidence.champion_is_worse else "as the plan asks"
    return (
        f"Version {evidence.challenger.version} is proven better than version {evidence.champion.version}, {why}: its "
        f"{paired.loss} is {paired.challenger:.4f} against {paired.champion:.4f} on {paired.rows:,} rows that both "
        f"predicted, better by at least {-paired.at_most:.4f}. The stages that are left are skipped."
    )


def _watch(rollout: Rollout, plan: RolloutPlan, evidence: StageEvidence, now: datetime) -> Transition:
    lasted = now - rollout.entered_at
    if lasted >= plan.watching:
        sentence = f"Version {rollout.version} was watched for {format_roughly(lasted)} and not shown to be worse."
        return within_stage(rollout, "keep", "kept", sentence + _label_summary(evidence))
    return _stay(rollout, f"Version {rollout.version} has been watched for {format_roughly(lasted)} of {plan.watch}.")


def _label_summary(evidence: StageEvidence) -> str:
    """Return the comparison by labels known so far, as a further sentence: in a watch, by those since the promotion."""
    paired = next((comparison for comparison in reversed(evidence.comparisons) if comparison.paired), None)
    if paired is None or not paired.rows:
        return " No outcomes are known yet."
    since = " since the promotion" if paired.watched else ""
    worse = "worse" if paired.worse_by > 0 else "better"
    return (
        f" On {paired.rows:,} rows with outcomes{since} its {paired.loss} is {paired.challenger:.4f}, {worse} than "
        f"version {evidence.champion.version}'s by {abs(paired.worse_by):.4f}."
    )


def _why_nothing(rollout: Rollout) -> str:
    if rollout.ended:
        return f"The rollout of version {rollout.version} has ended: {rollout.state.replace('_', ' ')}."
    if rollout.state == "paused":
        return f"The rollout of version {rollout.version} is paused, until a person resumes it."
    return f"Version {rollout.version} waits for a person to approve it."
