"""When a model is trained anew, as a value: the live loop and a backtest judge it by the same function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError
from everfit.definitions.trigger import Trigger


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What asks for retraining, and what holds it back.

    Args:
        trigger: What asks for it.
        cooldown: How long after one order no other is given.
        budget: At most so many orders, people's included, in any period as long as ``per``; ``None``: no limit.
        per: The budget's period.
        least_labels: The events' source must have at least so many known labels of events later than those that the
            champion was trained on; a new release does not wait for them.
        back_off: The longest wait: with every retraining in a row that brought nothing, the cool-down doubles, up to
            this.

    Raises:
        DefinitionError: If an argument is out of range.
    """

    trigger: Trigger
    cooldown: str = "1d"
    budget: int | None = None
    per: str = "30d"
    least_labels: int = 200
    back_off: str = "30d"

    def __post_init__(self) -> None:
        if not isinstance(self.trigger, Trigger):
            raise DefinitionError("retraining is asked for by triggers such as everfit.Every", value=self.trigger)
        for name in ("cooldown", "per", "back_off"):
            parse_duration(getattr(self, name), name=name)
        if self.budget is not None and self.budget < 1:
            raise DefinitionError("budget must be positive", value=self.budget, remedy="Name no trigger for 'never'.")
        if self.least_labels < 0:
            raise DefinitionError("least_labels must not be negative", value=self.least_labels)

    def wait(self, in_vain: int) -> timedelta:
        """How long to wait after the last of so many retrainings in a row that brought nothing.

        >>> from everfit.definitions.trigger import NewRelease
        >>> [Policy(trigger=NewRelease(), back_off="5d").wait(tries).days for tries in range(5)]
        [1, 2, 4, 5, 5]
        """
        wait, longest = parse_duration(self.cooldown), parse_duration(self.back_off)
        for _ in range(in_vain):
            if wait >= longest:
                break
            wait = min(2 * wait, longest)
        return wait

    @property
    def period(self) -> timedelta:
        """The budget's."""
        return parse_duration(self.per)
