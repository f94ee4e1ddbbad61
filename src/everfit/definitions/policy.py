"""Retraining policy of a model, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError
from everfit.definitions.trigger import Trigger


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Triggers of retraining, and limits on it; see :meth:`everfit.Model.retrain_when`."""

    trigger: Trigger
    cooldown: str = "1d"
    budget: int | None = None
    per: str = "30d"
    least_labels: int = 200
    back_off: str = "30d"

    def __post_init__(self) -> None:
        for name in ("cooldown", "per", "back_off"):
            parse_duration(getattr(self, name), name=name)
        if self.budget is not None and self.budget < 1:
            remedy = "To never retrain, write retrain_when() without a trigger."
            raise DefinitionError("budget must be positive", value=self.budget, remedy=remedy)
        if self.least_labels < 0:
            raise DefinitionError("least_labels must not be negative", value=self.least_labels)

    def wait(self, in_vain: int) -> timedelta:
        """Return the cool-down after a number of trainings in a row that did not improve the model.

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
        """Return ``per`` as a duration."""
        return parse_duration(self.per)
