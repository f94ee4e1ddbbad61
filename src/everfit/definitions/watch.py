"""Monitors of a model: performance and drift, with their alarm thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError
from everfit.definitions.trigger import Trigger

_LEAST_ROWS = 50
Season = Literal["training", "trailing", "season"]
"""Reference that windows are compared with."""


@dataclass(frozen=True, kw_only=True)
class PerformanceDrop(Trigger):
    """Alarm if the loss, by known outcomes, is larger than on the hold-out; as a trigger, true while the alarm lasts.

    The number of evaluations does not matter: the probability of *any* false alarm over the whole life of a version is
    at most ``alpha``.

    Args:
        by: Tolerated increase of the loss, in the metric's unit; by default 5 % of the loss on the hold-out.
        alpha: Largest probability of a false alarm over a version's life.
        run_length: Detect faster, with occasional false alarms: on average one in so many outcomes (similar outcomes of
            a day count as fewer). ``alpha`` is then only the error probability of the loss on the hold-out.

    Raises:
        DefinitionError: If an argument is out of range.
    """

    by: float | None = None
    alpha: float = 0.05
    run_length: int | None = None

    def __post_init__(self) -> None:
        if self.run_length is not None and self.run_length < 1:
            raise DefinitionError("run_length must be positive", value=self.run_length, place="PerformanceDrop")
        if self.by is not None and not self.by >= 0:
            raise DefinitionError("by must not be negative", value=self.by, place="PerformanceDrop")
        _require_chance(self.alpha, place="PerformanceDrop")


@dataclass(frozen=True, kw_only=True)
class Drift(Trigger):
    """Alarm if the distribution of a feature or of the predictions has changed.

    Args:
        window: Duration of the windows that are compared with the reference, such as ``1d``.
        rows: Number of rows in a window, instead of ``window``; ``alpha`` is then for 365 windows.
        alpha: Largest probability of an alarm in a year without any change.
        effect: Smallest shift that is reported, roughly in standard deviations.
        against: The reference. ``training``: the rows that the version was trained on. ``trailing``: the four weeks
            before the window, so that seasonal change is not reported. ``season``: the four weeks around the same day
            of the previous year, from the version's predictions or else from its training rows; without data of that
            time, ``trailing``.
        anyway: As a trigger, be true for any drift. By default it is true only if the model depends on the drifted
            column, and the version is shown to be worse by outcomes, or is estimated to be worse without them.

    Raises:
        DefinitionError: If an argument is out of range.
    """

    window: str = "1d"
    alpha: float = 0.05
    effect: float = 0.1
    against: Season = "training"
    anyway: bool = False
    rows: int | None = None

    def __post_init__(self) -> None:
        parse_duration(self.window, name="window")
        if self.rows is not None and self.rows < _LEAST_ROWS:
            raise DefinitionError(f"rows must be at least {_LEAST_ROWS}", value=self.rows, place="Drift")
        _require_chance(self.alpha, place="Drift")
        if self.effect < 0:
            raise DefinitionError("effect must not be negative", value=self.effect, place="Drift")
        if self.against not in get_args(Season):
            raise DefinitionError(f"against must be one of {', '.join(get_args(Season))}", value=self.against)

    @property
    def length(self) -> timedelta:
        """Return the window as a duration."""
        return parse_duration(self.window, name="window")


Watch = PerformanceDrop | Drift


def _require_chance(alpha: float, *, place: str) -> None:
    if not 0 < alpha < 1:
        raise DefinitionError("alpha must be a probability between 0 and 1", value=alpha, place=place)
