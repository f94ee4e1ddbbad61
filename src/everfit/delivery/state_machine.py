"""Where a rollout goes from here. Pure: the live loop and a backtest call the same function."""

from __future__ import annotations

from datetime import datetime

from everfit.core.duration import format_roughly
from everfit.core.rollout import Action, Rollout, RolloutState, StageEvidence, Step
from everfit.definitions.rollout import RolloutPlan, Shadow
from everfit.delivery.guardrails import objections

POLICY = "policy"
"""Who acts where no person does."""


def advance(rollout: Rollout, plan: RolloutPlan, evidence: StageEvidence, now: datetime) -> Step:
    """Decide a rollout's next step.

    What speaks against the newcomer takes it back at once, even while a person has halted the rollout: a pause stops
    the way forward, not the brakes. A stage ends once enough rows were asked and it lasted long enough, or when its
    time is up: then nothing spoke against the version, however few rows there were.

    Args:
        rollout: Where it is.
        plan: The model's.
        evidence: What is known since the rollout began.
        now: The present instant.

    Returns:
        One of the actions ``stay``, ``next``, ``promote``, ``keep``, ``roll_back`` and ``refuse``.
    """
    if rollout.ended or rollout.effective == "waiting_approval":
        return stay(rollout, _why_nothing(rollout))
    found = objections(evidence, rollout.effective, p99_ms=plan.p99_ms)
    if found:
        return take_back(rollout, " ".join(each.sentence for each in found[:2]))
    if rollout.state == "paused":
        return stay(rollout, _why_nothing(rollout))
    if rollout.state == "watching":
        return _watch(rollout, plan, evidence, now)
    return _try(rollout, plan, evidence, now)


def stay(rollout: Rollout, sentence: str) -> Step:
    """Nothing changes."""
    return step(rollout, "stay", rollout.state, sentence=sentence)


def take_back(rollout: Rollout, sentence: str, *, actor: str = POLICY) -> Step:
    """The champion of before answers alone again."""
    if rollout.effective == "watching":
        return step(rollout, "roll_back", "rolled_back", actor=actor, sentence=sentence)
    return step(rollout, "refuse", "refused", actor=actor, sentence=sentence)


def promote(rollout: Rollout, sentence: str, *, actor: str = POLICY) -> Step:
    """The newcomer is the champion; the one before it goes on in shadow."""
    return step(rollout, "promote", "watching", actor=actor, sentence=sentence)


def enter(rollout: Rollout, plan: RolloutPlan, stage: int, action: Action, sentence: str, actor: str = POLICY) -> Step:
    """A stage of the plan begins."""
    entered = plan.stages[stage]
    return Step(
        place=len(rollout.history),
        action=action,
        actor=actor,
        state="shadow" if isinstance(entered, Shadow) else "canary",
        stage=stage,
        share=entered.share,
        sentence=sentence,
    )


def step(rollout: Rollout, action: Action, state: RolloutState, *, actor: str = POLICY, sentence: str) -> Step:
    """A step within the same stage, or out of the stages."""
    share = rollout.share if state in {"canary", "paused"} else 0.0
    return Step(
        place=len(rollout.history), action=action, actor=actor, state=state, stage=rollout.stage, share=share,
        sentence=sentence,
    )  # fmt: skip


def _try(rollout: Rollout, plan: RolloutPlan, evidence: StageEvidence, now: datetime) -> Step:
    # A plan may have become shorter since; then its last stage is what is left to pass.
    number = min(rollout.stage, len(plan.stages) - 1)
    stage, lasted = plan.stages[number], now - rollout.entered_at
    asked = f"{evidence.requests:,} of {stage.requests:,} rows"
    name = f"{rollout.state} stage {number + 1} of {len(plan.stages)}"
    if evidence.requests >= stage.requests and lasted >= stage.shortest:
        sentence = f"Nothing spoke against version {rollout.version} in {name}, on {evidence.requests:,} rows."
    elif stage.longest is not None and lasted >= stage.longest:
        sentence = (
            f"The time of {name} was up after {format_roughly(lasted)} with only {asked}; nothing was disproved, "
            f"so version {rollout.version} goes on."
        )
    else:
        return stay(rollout, f"Version {rollout.version} is in {name}, with {asked} for {format_roughly(lasted)}.")
    sentence += _known(evidence)
    if number + 1 < len(plan.stages):
        return enter(rollout, plan, number + 1, "next", sentence)
    return promote(rollout, sentence)


def _watch(rollout: Rollout, plan: RolloutPlan, evidence: StageEvidence, now: datetime) -> Step:
    lasted = now - rollout.entered_at
    if lasted >= plan.watching:
        sentence = f"Version {rollout.version} was watched for {format_roughly(lasted)} and not shown to be worse."
        return step(rollout, "keep", "kept", sentence=sentence + _known(evidence))
    return stay(rollout, f"Version {rollout.version} has been watched for {format_roughly(lasted)} of {plan.watch}.")


def _known(evidence: StageEvidence) -> str:
    """What outcomes say by now, as a further sentence."""
    paired = next((each for each in evidence.comparisons if each.paired), None)
    if paired is None or not paired.rows:
        return " No outcomes are known yet."
    worse = "worse" if paired.worse_by > 0 else "better"
    return (
        f" On {paired.rows:,} rows with outcomes its {paired.loss} is {paired.newcomer:.4f}, {worse} than version "
        f"{evidence.champion.version}'s by {abs(paired.worse_by):.4f}."
    )


def _why_nothing(rollout: Rollout) -> str:
    if rollout.ended:
        return f"The rollout of version {rollout.version} has ended: {rollout.state.replace('_', ' ')}."
    if rollout.state == "paused":
        return f"The rollout of version {rollout.version} is paused, until a person resumes it."
    return f"Version {rollout.version} waits for a person to approve it."
