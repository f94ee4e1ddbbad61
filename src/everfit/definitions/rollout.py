"""How a version that passed its gates takes the champion's place, as a value."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Literal, get_args

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError

Approval = Literal["none", "required"]
"""Whether a person must say yes before a version is tried."""


class _Lasting:
    """When a stage ends."""

    requests: int
    at_least: str
    at_most: str | None

    @property
    def shortest(self) -> timedelta:
        """How long it lasts at the least."""
        return timedelta(0) if self.at_least == "0s" else parse_duration(self.at_least, name="at_least")

    @property
    def longest(self) -> timedelta | None:
        """How long it lasts at the most."""
        return None if self.at_most is None else parse_duration(self.at_most, name="at_most")

    def _require_limits(self) -> None:
        name = type(self).__name__
        if self.requests < 1:
            raise DefinitionError("requests must be positive", value=self.requests, place=name)
        longest = self.longest
        if longest is not None and longest < self.shortest:
            raise DefinitionError("at_most must not be shorter than at_least", value=self.at_most, place=name)


@dataclass(frozen=True)
class Shadow(_Lasting):
    """It is asked as well, after the champion has answered; nobody hears what it says.

    Args:
        requests: How many of its answers are enough.
        at_least: How long the stage lasts at the least, however many there are.
        at_most: How long it lasts at the most, however few there are: then nothing spoke against the version, and it
            goes on. ``None`` waits for all of them, for ever if nobody asks.

    Raises:
        DefinitionError: If an argument is out of range.
    """

    requests: int = 500
    _: KW_ONLY
    at_least: str = "0s"
    at_most: str | None = "7d"

    def __post_init__(self) -> None:
        self._require_limits()

    @property
    def share(self) -> float:
        """Of the ids that callers hear it on."""
        return 0.0


@dataclass(frozen=True)
class Canary(_Lasting):
    """It answers a share of the ids in the champion's place; where it cannot, the champion does.

    Args:
        share: Of the ids, above 0 up to 1.
        requests: As for :class:`Shadow`, like all that follow.
        at_least: How long it lasts at the least.
        at_most: How long it lasts at the most.

    Raises:
        DefinitionError: If an argument is out of range.
    """

    share: float = 0.1
    requests: int = 500
    _: KW_ONLY
    at_least: str = "0s"
    at_most: str | None = "7d"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise DefinitionError("the share of a canary must be above 0 and at most 1", value=self.share)
        self._require_limits()


Stage = Shadow | Canary


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """The stages, one after the other, and what comes before and after them.

    Args:
        stages: At least one.
        watch: How long the champion of before goes on in shadow once the version has taken its place, so that both
            answer the same rows: what is shown to be worse is taken back.
        approval: ``required``: nothing is tried before a person approves.
        alpha: The chance that a version which is no worse is taken back for being worse, by outcomes, over the whole
            rollout.
        p99_ms: The longest that 99 % of its answers may take; without it, it is compared with the champion only.

    Raises:
        DefinitionError: If an argument is out of range.
    """

    stages: tuple[Stage, ...] = (Shadow(200), Canary(0.1, 200), Canary(0.5, 200))
    watch: str = "7d"
    approval: Approval = "none"
    alpha: float = 0.05
    p99_ms: float | None = None

    def __post_init__(self) -> None:
        if not self.stages:
            raise DefinitionError("a rollout needs at least one stage, such as everfit.Shadow()", value=self.stages)
        for stage in self.stages:
            if not isinstance(stage, Shadow | Canary):
                raise DefinitionError("the stages of a rollout must be Shadow or Canary", value=stage)
        parse_duration(self.watch, name="watch")
        if self.approval not in get_args(Approval):
            raise DefinitionError(f"approval must be one of {', '.join(get_args(Approval))}", value=self.approval)
        if not 0 < self.alpha < 1:
            raise DefinitionError("alpha must be a chance between 0 and 1", value=self.alpha, place="rollout")
        if self.p99_ms is not None and not self.p99_ms > 0:
            raise DefinitionError("p99_ms must be positive", value=self.p99_ms, place="rollout")

    @property
    def watching(self) -> timedelta:
        """How long is watched after the promotion."""
        return parse_duration(self.watch)
