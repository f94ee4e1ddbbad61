"""Rollout plan of a model, as a value."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import ClassVar, Literal, get_args

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError

Approval = Literal["none", "required"]
"""``required``: a person must approve a rollout before its first stage."""

FastWhen = Literal["champion is worse", "proven better", "never"]
"""``champion is worse``: the stages that are left are skipped once outcomes prove the version better, while an incident
says that the champion has become worse; ``proven better``: also without an incident; ``never``: no stage is skipped."""


class _Lasting:
    """Limits of a stage."""

    requests: int
    at_least: str
    at_most: str | None

    @property
    def shortest(self) -> timedelta:
        """Return ``at_least`` as a duration."""
        return timedelta(0) if self.at_least == "0s" else parse_duration(self.at_least, name="at_least")

    @property
    def longest(self) -> timedelta | None:
        """Return ``at_most`` as a duration."""
        return None if self.at_most is None else parse_duration(self.at_most, name="at_most")

    def __post_init__(self) -> None:
        name, longest = type(self).__name__, self.longest
        if self.requests < 1:
            raise DefinitionError("requests must be positive", value=self.requests, place=name)
        if longest is not None and longest < self.shortest:
            raise DefinitionError("at_most must not be shorter than at_least", value=self.at_most, place=name)


@dataclass(frozen=True)
class Shadow(_Lasting):
    """A stage without effect on callers: the version receives a copy of each request after the response was sent.

    The stage ends after ``requests`` rows, but not before ``at_least``. It also ends at ``at_most``, if there is no
    guardrail violation.

    Args:
        requests: Number of rows that the version must predict.
        at_least: Shortest duration of the stage.
        at_most: Longest duration of the stage; ``None``: no limit, even without traffic.

    Raises:
        DefinitionError: If an argument is out of range.
    """

    requests: int = 500
    _: KW_ONLY
    at_least: str = "0s"
    at_most: str | None = "7d"
    share: ClassVar[float] = 0.0


@dataclass(frozen=True)
class Canary(_Lasting):
    """A stage in which the version serves a share of the ids; if it fails on a row, the champion serves it.

    The end of the stage is defined as for :class:`Shadow`.

    Args:
        share: Share of the ids, above 0 and at most 1.
        requests: Number of rows that the version must predict.
        at_least: Shortest duration of the stage.
        at_most: Longest duration of the stage; ``None``: no limit, even without traffic.

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
        super().__post_init__()


Stage = Shadow | Canary


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """The stages of a rollout, approval before them, and observation after them; see :meth:`everfit.Model.roll_out`.

    Raises :class:`DefinitionError` if an argument is out of range.
    """

    stages: tuple[Stage, ...] = (Shadow(200), Canary(0.1, 200), Canary(0.5, 200))
    watch: str = "7d"
    approval: Approval = "none"
    alpha: float = 0.05
    p99_ms: float | None = None
    fast_when: FastWhen = "champion is worse"

    def __post_init__(self) -> None:
        if not self.stages:
            raise DefinitionError("a rollout needs at least one stage, such as everfit.Shadow()", value=self.stages)
        for stage in self.stages:
            if not isinstance(stage, Shadow | Canary):
                raise DefinitionError("the stages of a rollout must be Shadow or Canary", value=stage)
        parse_duration(self.watch, name="watch")
        if self.approval not in get_args(Approval):
            raise DefinitionError(f"approval must be one of {', '.join(get_args(Approval))}", value=self.approval)
        if self.fast_when not in get_args(FastWhen):
            raise DefinitionError(f"fast_when must be one of {', '.join(get_args(FastWhen))}", value=self.fast_when)
        if not 0 < self.alpha < 1:
            raise DefinitionError("alpha must be a probability between 0 and 1", value=self.alpha, place="rollout")
        if self.p99_ms is not None and not self.p99_ms > 0:
            raise DefinitionError("p99_ms must be positive", value=self.p99_ms, place="rollout")

    @property
    def watching(self) -> timedelta:
        """Return ``watch`` as a duration."""
        return parse_duration(self.watch)
