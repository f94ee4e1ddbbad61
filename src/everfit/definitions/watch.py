"""What of a model is watched, and from when on it is worth saying."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError
from everfit.definitions.trigger import Trigger

_LEAST_ROWS = 50
Season = Literal["training", "trailing", "season"]
"""What windows are compared with."""


@dataclass(frozen=True, kw_only=True)
class PerformanceDrop(Trigger):
    """The loss, by the outcomes that are known, is worse than on the hold-out.

    It is looked at as often as one likes: the chance that it is *ever* said without cause, over the whole life of a
    version, is at most ``alpha``.

    Args:
        by: How much worse is tolerated, in the metric's own unit; by default a twentieth of the loss on the hold-out.
        alpha: The chance of a false alarm over a version's life.
        run_length: Be quicker, and have a false alarm now and then: on average after so many outcomes (those of a day
            that resemble each other counting as fewer). ``alpha`` then only says how sure the hold-out must be.

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
    """A feature, or what the model answers, is not distributed as it was.

    Args:
        window: How long the windows are that are looked at, such as ``1d``.
        rows: Instead, how many rows a window has; ``alpha`` is then for 365 windows.
        alpha: The chance that a year without any change has an alarm.
        effect: The least shift that is worth saying, roughly in standard deviations.
        against: ``training``: the rows that the version was made from; ``trailing``: the four weeks before the window,
            for businesses whose seasons are no news; ``season``: the four weeks about the same day a year before, by
            what this version then answered or, failing that, by the rows that it was made from. Where neither reaches
            back a year, it is ``trailing``.
        anyway: As a trigger, ask for retraining even where nothing shows that the drift matters. Otherwise it does if
            the model uses the column enough to notice, and the version was either shown to be worse by outcomes, or is
            expected to be so by an estimate without them.

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
        """The window's."""
        return parse_duration(self.window, name="window")


Watch = PerformanceDrop | Drift


def _require_chance(alpha: float, *, place: str) -> None:
    if not 0 < alpha < 1:
        raise DefinitionError("alpha must be a chance between 0 and 1", value=alpha, place=place)
