"""Training window of a model: the newest part of its history that it is trained on, or judged on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from everfit.core.duration import format_duration, parse_duration
from everfit.core.errors import DefinitionError
from everfit.definitions.space import Choice

ALL = "all"
"""All history, as an argument."""
DEFAULT_HISTORY = Choice(ALL, "180d", "60d")
"""Half a year, and two months: as good as all history or better on bikes, Elec2 and flights (decision 45)."""
LEAST_LABELS = 200
"""With fewer labelled rows every metric is uncertain."""


@dataclass(frozen=True, kw_only=True)
class TrainingWindow:
    """The newest part of a model's events, by time or by number; one of both is given.

    >>> print(TrainingWindow(span=timedelta(days=120)))
    the last 120d
    >>> print(TrainingWindow(rows=50_000))
    the newest 50,000 labelled rows
    """

    span: timedelta | None = None
    """Time before the training's end."""
    rows: int | None = None
    """Number of labelled rows."""

    def __str__(self) -> str:
        if self.span is not None:
            return f"the last {format_duration(self.span)}"
        return f"the newest {self.rows:,} labelled rows"


def parse_training_window(
    value: str | int | timedelta | None,
    *,
    place: str,
    name: str = "history",
    default: str = "train on all history",
) -> TrainingWindow | None:
    """Return the window of an argument such as ``history``; ``None`` where it was left out.

    Raises :class:`DefinitionError` if it is neither a positive duration nor a sufficient number of rows.

    Args:
        name: The argument, for the error message.
        default: The purpose of leaving it out.
    """
    if value is None:
        return None
    if type(value) is int:
        if value < LEAST_LABELS:
            rule = f"{name} must be a duration, or at least {LEAST_LABELS} labelled rows"
            remedy = f"With fewer rows every metric is uncertain. For {value} days, write '{value}d'."
            raise DefinitionError(rule, value=value, remedy=remedy, place=place)
        return TrainingWindow(rows=value)
    try:
        return TrainingWindow(span=parse_duration(cast("str | timedelta", value), name=name))
    except DefinitionError as error:
        rule = f"{name} must be a duration such as '120d', or a number of labelled rows such as 50_000"
        remedy = f"Leave it out to {default}."
        raise DefinitionError(rule, value=value, remedy=remedy, place=place) from error


def parse_history(value: str | int | timedelta | Choice | None, *, place: str) -> tuple[TrainingWindow | None, ...]:
    """Return the windows that a model's ``history`` leaves to choose from, the widest first; ``None`` is all history.

    Without a value it is :data:`DEFAULT_HISTORY`. Raises :class:`DefinitionError` if an option is no window,
    windows cannot be ordered, or one stands there twice.

    >>> [str(window) for window in parse_history(Choice("14d", "all", "60d"), place="model late")]
    ['None', 'the last 60d', 'the last 14d']
    """
    value = DEFAULT_HISTORY if value is None else value
    if not isinstance(value, Choice):
        return (None if value == ALL else parse_training_window(value, place=place),)
    if value.default is not None:
        remedy = "Leave it out: without evidence for a shorter one, the widest window is taken."
        raise DefinitionError(
            "a choice of history must have no default", value=value.default, remedy=remedy, place=place
        )
    options = [
        None if one == ALL else parse_training_window(cast("str | int", one), place=place) for one in value.options
    ]
    windows = [window for window in options if window is not None]
    if any(one is None for one in value.options):
        raise DefinitionError(f"all history must be written as {ALL!r} in a choice", value=value.options, place=place)
    if len({window.span is None for window in windows}) > 1:
        rule = "the windows of a choice of history must be durations only, or numbers of labelled rows only"
        raise DefinitionError(
            rule, value=value.options, remedy="Which of the two is longer differs by time.", place=place
        )
    if len(set(options)) < len(options):
        raise DefinitionError("a choice of history must have each window once", value=value.options, place=place)
    ordered = sorted(windows, key=lambda window: (window.span or timedelta(), window.rows or 0), reverse=True)
    return (*((None,) if None in options else ()), *ordered)


DEFAULT_WINDOWS = parse_history(DEFAULT_HISTORY, place="a model")
"""The windows of a model that states none."""
