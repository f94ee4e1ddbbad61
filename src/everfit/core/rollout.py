"""A version on its way to becoming the champion, and what is known of how it does there."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

RolloutState = Literal[
    "waiting_approval", "shadow", "canary", "watching", "kept", "rolled_back", "refused", "paused", "superseded"
]
"""``waiting_approval``: a person must say yes; ``shadow``: asked as well, heard by nobody; ``canary``: answers a share;
``watching``: it is the champion, the one before it in shadow; ``kept``: it stays; ``rolled_back``: it was worse, and
the one before it answers again; ``refused``: taken back before it was the champion; ``paused``: a person halted it;
``superseded``: a newer version is rolled out instead."""

ENDED: tuple[RolloutState, ...] = ("kept", "rolled_back", "refused", "superseded")
"""Where nothing moves any more."""

Action = Literal[
    "begin", "stay", "approve", "next", "promote", "keep", "roll_back", "refuse", "pause", "resume", "supersede"
]


class Move(Struct, frozen=True, kw_only=True):
    """A line of a rollout's history."""

    at: datetime
    actor: str
    """``policy``, or the person."""
    action: Action
    state: RolloutState
    """Where it led."""
    stage: int
    sentence: str
    """Why, with its numbers."""


class Rollout(Struct, frozen=True, kw_only=True):
    """One version's way."""

    number: int
    """In the sequence of all rollouts."""
    model: str
    version: int
    """The newcomer."""
    previous: int
    """The champion whose place it shall take."""
    order: int | None = None
    """The order to retrain that it came from."""
    cause: str
    """Why it is rolled out, as a sentence."""
    state: RolloutState
    stage: int = 0
    """Which of the plan's stages; the last one's once it is the champion."""
    share: float = 0.0
    """Of the ids that it answers as a canary."""
    halted: RolloutState | None = None
    """Where it was when it was paused."""
    began_at: datetime
    entered_at: datetime
    """When the present state began."""
    history: tuple[Move, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be done."""
        return self.state in ENDED

    @property
    def effective(self) -> RolloutState:
        """The state by which it is served: where it was halted, if it is paused."""
        return self.halted or "waiting_approval" if self.state == "paused" else self.state


class Step(Struct, frozen=True, kw_only=True):
    """A decision: where a rollout goes from here."""

    place: int
    """How long the history was that it was decided by; it is carried out once, as its next line."""
    action: Action
    actor: str
    state: RolloutState
    stage: int
    share: float = 0.0
    sentence: str
    """Why, with its numbers."""

    @property
    def moves(self) -> bool:
        """Whether anything changes."""
        return self.action != "stay"


def moved(rollout: Rollout, step: Step, now: datetime) -> Rollout:
    """The rollout after a step; itself, if the step stays, was done already, or was overtaken by another."""
    if not step.moves or rollout.ended or len(rollout.history) != step.place:
        return rollout
    line = Move(
        at=now, actor=step.actor, action=step.action, state=step.state, stage=step.stage, sentence=step.sentence
    )
    return replace(
        rollout,
        state=step.state,
        stage=step.stage,
        share=step.share,
        halted=rollout.state if step.action == "pause" else None,
        entered_at=now,
        history=(*rollout.history, line),
    )


def last_step(rollout: Rollout) -> Step:
    """The step that led to where a rollout is; carried out again, it changes nothing of the rollout."""
    line = rollout.history[-1]
    return Step(
        place=len(rollout.history) - 1, action=line.action, actor=line.actor, state=line.state, stage=line.stage,
        share=rollout.share, sentence=line.sentence,
    )  # fmt: skip


class Answering(Struct, frozen=True, kw_only=True):
    """What one version was asked, and how it coped."""

    version: int
    asked: int = 0
    """Rows since the rollout began, those included that it could not answer."""
    failed: int = 0
    """Of these, rows that it could not answer."""
    unusable: int = 0
    """Of these, answers that are no finite number."""
    problem: str = ""
    """The commonest reason why it could not."""
    timed: int = 0
    """Requests of the present stage whose latency is known."""
    p99_ms: float | None = None
    """The time within which 99 % of those were answered."""
    p99_low_ms: float | None = None
    """It is at least that, by a bound that chance breaks once in a hundred times."""
    p99_high_ms: float | None = None
    """It is at most that, likewise; ``None`` where there are too few to say."""


class Likeness(Struct, frozen=True, kw_only=True):
    """How differently newcomer and champion answered in the present stage."""

    rows: int
    """Of the newcomer's answers."""
    champion_rows: int
    distance: float
    """The Kolmogorov-Smirnov distance between their answers, from 0 to 1."""
    at_least: float
    """It is at least that, by a bound that chance breaks once in a thousand times."""
    spread: float
    """The standard deviation of the newcomer's answers."""
    champion_spread: float


class Comparison(Struct, frozen=True, kw_only=True):
    """What outcomes say of newcomer and champion."""

    loss: str
    """What is compared; less is better."""
    paired: bool
    """Whether both answered the same rows; otherwise chance decided who answered which."""
    rows: int
    """Whose outcomes are known, of the newcomer."""
    newcomer: float
    """Its mean loss."""
    champion: float
    worse_by: float
    """Positive means that the newcomer is worse."""
    at_least: float | None = None
    """It is worse by that at least: valid at every look, with the share of alpha that it was given; ``None`` where
    there are too few outcomes to say."""


class StageEvidence(Struct, frozen=True, kw_only=True):
    """All that a step is decided by."""

    requests: int
    """Rows that the newcomer was asked in the present stage."""
    newcomer: Answering
    champion: Answering
    likeness: Likeness | None = None
    """``None`` where there are too few answers to compare."""
    comparisons: tuple[Comparison, ...] = ()
