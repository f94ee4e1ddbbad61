"""Parameters of the search space of tuning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from everfit.core.errors import DefinitionError


class _Range:
    """An interval on a linear or a logarithmic scale."""

    low: float
    high: float
    log: bool
    default: float | None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise DefinitionError("a range must have a finite low below a finite high", value=(self.low, self.high))
        if self.log and self.low <= 0:
            raise DefinitionError("a range on a logarithmic scale must start above 0", value=self.low)
        if self.default is not None and not self.low <= self.default <= self.high:
            rule = f"the default must be between {self.low} and {self.high} inclusive"
            raise DefinitionError(rule, value=self.default)

    @property
    def untuned(self) -> float:
        """Return the value without tuning."""
        if self.default is not None:
            return self.default
        return math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2


@dataclass(frozen=True)
class Float(_Range):
    """A real number in ``[low, high]``.

    Args:
        low: The smallest value, inclusive.
        high: The largest value, inclusive.
        log: Search on a logarithmic scale; then ``low`` must be positive.
        default: The value without tuning; by default the middle of the scale.

    Raises:
        DefinitionError: If the range is empty, or the default is outside.
    """

    low: float
    high: float
    _: KW_ONLY
    log: bool = False
    default: float | None = None


@dataclass(frozen=True)
class Int(_Range):
    """A whole number in ``[low, high]``.

    Args:
        low: The smallest value, inclusive.
        high: The largest value, inclusive.
        log: Search on a logarithmic scale; then ``low`` must be positive.
        default: The value without tuning; by default the middle of the scale, rounded.

    Raises:
        DefinitionError: If the range is empty, or the default is outside.
    """

    low: int
    high: int
    _: KW_ONLY
    log: bool = False
    default: int | None = None

    @property
    def untuned(self) -> int:
        """Return the value without tuning."""
        return round(super().untuned)


@dataclass(frozen=True, init=False)
class Choice:
    """One of several values: of a tuned parameter, or of a model's ``history``.

    Args:
        *options: The values, at least one: text, numbers, booleans or ``None``; or one list of them.
        default: The value without tuning; by default the first option.

    Raises:
        DefinitionError: If there is no option, or the default is none of them.
    """

    options: tuple[str | int | float | bool | None, ...]
    default: str | int | float | bool | None

    def __init__(
        self,
        *options: str | int | float | bool | Sequence[str | int | float | bool | None] | None,
        default: str | int | float | bool | None = None,
    ) -> None:
        first = options[0] if len(options) == 1 else None
        listed = options if first is None or isinstance(first, str | int | float) else tuple(first)
        object.__setattr__(self, "options", listed)
        object.__setattr__(self, "default", default)
        if not self.options:
            raise DefinitionError("a choice needs at least one option")
        if self.default is not None and self.default not in self.options:
            raise DefinitionError("the default of a choice must be one of its options", value=self.default)

    @property
    def untuned(self) -> str | int | float | bool | None:
        """Return the value without tuning."""
        return self.options[0] if self.default is None else self.default


Parameter = Float | Int | Choice
