"""A version on its way to becoming the champion, its transitions, and the metrics that decide them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

RolloutState = Literal[
    "waiting_approval", "shadow", "canary", "watching", "kept", "rolled_back", "refused", "paused", "superseded"
]
"""``waiting_approval``: a person must approve it; ``shadow``: it receives a copy of each request, and its responses are
only logged; ``canary``: it answers a share of the ids; ``watching``: it is the champion, with the one before it in
shadow; ``kept``: it stays the champion; ``rolled_back``: it was worse, and the champion before it answers again;
``refused``: taken back before it was the champion; ``paused``: halted by a person; ``superseded``: replaced by the
rollout of a newer version."""

ENDED: tuple[RolloutState, ...] = ("kept", "rolled_back", "refused", "superseded")
"""Terminal states."""

Action = Literal[
    "begin", "stay", "approve", "next", "promote", "keep", "roll_back", "refuse", "pause", "resume", "supersede"
]


class TransitionRecord(Struct, frozen=True, kw_only=True):
    """A transition in a rollout's history."""

    at: datetime
    actor: str
    """``policy``, or the person."""
    action: Action
    state: RolloutState
    """After the transition."""
    stage: int
    sentence: str
    """The reason, with its numbers."""


class Rollout(Struct, frozen=True, kw_only=True):
    """State and history of one version's rollout."""

    number: int
    """In the sequence of all rollouts."""
    model: str
    version: int
    """The challenger."""
    previous: int
    """The champion that it may replace."""
    order: int | None = None
    """The training order that it came from."""
    cause: str
    """Why it is rolled out, as a sentence."""
    state: RolloutState
    stage: int = 0
    """Index of the plan's stage; the last one's once the version is the champion."""
    share: float = 0.0
    """Share of the ids that it answers as a canary."""
    halted: RolloutState | None = None
    """The state before it was paused."""
    began_at: datetime
    entered_at: datetime
    """When the present state began."""
    history: tuple[TransitionRecord, ...] = ()

    @property
    def ended(self) -> bool:
        """True in a terminal state."""
        return self.state in ENDED

    @property
    def effective(self) -> RolloutState:
        """The state that decides the traffic: that before the pause, if it is paused."""
        return self.halted or "waiting_approval" if self.state == "paused" else self.state


class Transition(Struct, frozen=True, kw_only=True):
    """A decided transition, not yet applied."""

    place: int
    """``len(history)`` when it was decided; an optimistic lock: it is applied only if the history has not grown."""
    action: Action
    actor: str
    state: RolloutState
    stage: int
    share: float = 0.0
    sentence: str
    """The reason, with its numbers."""

    @property
    def changes(self) -> bool:
        """False for ``stay``."""
        return self.action != "stay"


def apply_transition(rollout: Rollout, transition: Transition, now: datetime) -> Rollout:
    """Return the rollout after a transition; unchanged, if it was applied already or overtaken by another."""
    if not transition.changes or rollout.ended or len(rollout.history) != transition.place:
        return rollout
    entry = TransitionRecord(
        at=now,
        actor=transition.actor,
        action=transition.action,
        state=transition.state,
        stage=transition.stage,
        sentence=transition.sentence,
    )
    return replace(
        rollout,
        state=transition.state,
        stage=transition.stage,
        share=transition.share,
        halted=rollout.state if transition.action == "pause" else None,
        entered_at=now,
        history=(*rollout.history, entry),
    )


def last_transition(rollout: Rollout) -> Transition:
    """Return the transition that led to the present state; applying it again does not change the rollout."""
    last = rollout.history[-1]
    return Transition(
        place=len(rollout.history) - 1,
        action=last.action,
        actor=last.actor,
        state=last.state,
        stage=last.stage,
        share=rollout.share,
        sentence=last.sentence,
    )


class VersionMetrics(Struct, frozen=True, kw_only=True):
    """Counts and latency of one version's predictions during a rollout."""

    version: int
    rows: int = 0
    """Requested since the rollout began, failed ones included."""
    failed: int = 0
    """Rows of these that it could not predict."""
    non_finite: int = 0
    """Predictions that are NaN or infinite."""
    problem: str = ""
    """The most frequent reason of failure."""
    timed: int = 0
    """Requests of the present stage whose latency is known."""
    p99_ms: float | None = None
    """99 % quantile of their latency."""
    p99_low_ms: float | None = None
    """Lower confidence bound of ``p99_ms``, one-sided, at 99 %."""
    p99_high_ms: float | None = None
    """Upper confidence bound, likewise; ``None`` with too few requests."""


class PredictionDistance(Struct, frozen=True, kw_only=True):
    """Difference between the distributions of challenger's and champion's predictions in the present stage."""

    rows: int
    """Of the challenger's predictions."""
    champion_rows: int
    distance: float
    """Kolmogorov-Smirnov distance, from 0 to 1."""
    at_least: float
    """Lower confidence bound of the distance, at 99.9 %."""
    spread: float
    """Standard deviation of the challenger's predictions."""
    champion_spread: float


class LossComparison(Struct, frozen=True, kw_only=True):
    """Losses of challenger and champion on rows with labels."""

    loss: str
    """Name of the loss; less is better."""
    paired: bool
    """True if both predicted the same rows; otherwise the hash of the id assigned the rows at random."""
    watched: bool = False
    """True if they are the rows since the promotion only."""
    rows: int
    """The challenger's rows with labels."""
    challenger: float
    """Mean loss."""
    champion: float
    worse_by: float
    """Positive means that the challenger is worse."""
    at_least: float | None = None
    """Lower confidence bound of ``worse_by`` that holds at all times simultaneously, with the comparison's share of
    alpha; ``None`` with too few labels."""
    at_most: float | None = None
    """Upper bound of the same kind, by itself; below 0 the challenger is proven better. ``None`` where the rows were
    assigned at random."""


class StageEvidence(Struct, frozen=True, kw_only=True):
    """All that a transition is decided by."""

    requests: int
    """Rows requested from the challenger in the present stage, on the stage's route."""
    challenger: VersionMetrics
    champion: VersionMetrics
    distance: PredictionDistance | None = None
    """``None`` with too few predictions."""
    comparisons: tuple[LossComparison, ...] = ()
    champion_is_worse: bool = False
    """True while an incident says that the champion has become worse."""
