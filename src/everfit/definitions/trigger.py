"""What can ask for a new training. Values; :mod:`everfit.triggers` says when they do.

``|`` and ``&`` combine them: ``PerformanceDrop() | Every("30d") & NewData(rows=10_000)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError

_MICROSECOND = timedelta(microseconds=1)


class Trigger:
    """A reason to retrain, that holds or does not."""

    def __or__(self, other: Trigger) -> AnyOf:
        if not isinstance(other, Trigger):
            return NotImplemented
        return AnyOf((*_parts(self, AnyOf), *_parts(other, AnyOf)))

    def __and__(self, other: Trigger) -> AllOf:
        if not isinstance(other, Trigger):
            return NotImplemented
        return AllOf((*_parts(self, AllOf), *_parts(other, AllOf)))

    @property
    def leaves(self) -> Iterator[Trigger]:
        """The triggers that it is made of, itself if it is not a combination."""
        yield self


@dataclass(frozen=True)
class AnyOf(Trigger):
    """Each of its parts is reason enough; without parts, nothing is."""

    parts: tuple[Trigger, ...]

    @property
    def leaves(self) -> Iterator[Trigger]:
        """Those of its parts."""
        for part in self.parts:
            yield from part.leaves


@dataclass(frozen=True)
class AllOf(Trigger):
    """Only all of its parts together are a reason.

    Raises:
        DefinitionError: If there are none.
    """

    parts: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise DefinitionError("AllOf needs at least one trigger", value=self.parts)

    @property
    def leaves(self) -> Iterator[Trigger]:
        """Those of its parts."""
        for part in self.parts:
            yield from part.leaves


@dataclass(frozen=True)
class Every(Trigger):
    """So long after the champion was trained, or after the last retraining, whatever the cause.

    Args:
        period: Such as ``30d``.

    Raises:
        DefinitionError: If it is not a positive duration.
    """

    period: str

    def __post_init__(self) -> None:
        parse_duration(self.period, name="the period of Every")

    @property
    def length(self) -> timedelta:
        """The period's."""
        return parse_duration(self.period)


@dataclass(frozen=True)
class Cron(Trigger):
    """At the times that a cron expression names, in UTC.

    A time that passed while nobody could act counts once, however many passed.

    Args:
        expression: Minute, hour, day of the month, month, day of the week: ``0 3 * * *`` is daily at three.

    Raises:
        DefinitionError: If it is no such expression, or names a time that never comes.
    """

    expression: str

    def __post_init__(self) -> None:
        example = "Write it like '0 3 * * *', daily at 03:00 UTC."
        if not isinstance(self.expression, str) or len(self.expression.split()) != 5:
            raise DefinitionError("a cron expression must have five fields", value=self.expression, remedy=example)
        try:
            self.after(datetime(2000, 1, 1, tzinfo=UTC))
        except ValueError as error:
            raise DefinitionError(
                f"a cron expression must name times that come ({error})", value=self.expression, remedy=example
            ) from error

    def until(self, now: datetime) -> datetime:
        """The newest of its times that is not later than ``now``."""
        return self._step(now + _MICROSECOND, forwards=False)

    def after(self, now: datetime) -> datetime:
        """The first of its times that is later than ``now``."""
        return self._step(now, forwards=True)

    def _step(self, start: datetime, *, forwards: bool) -> datetime:
        from croniter import croniter  # type: ignore[import-untyped]

        ticks = croniter(self.expression, start.astimezone(UTC))
        found = ticks.get_next(datetime) if forwards else ticks.get_prev(datetime)
        assert isinstance(found, datetime)
        return found


@dataclass(frozen=True)
class NewData(Trigger):
    """So many labelled rows became known since the champion was trained; again at twice, three times as many.

    Args:
        rows: Labelled rows, 1 or more.

    Raises:
        DefinitionError: If ``rows`` is not positive.
    """

    rows: int

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise DefinitionError("rows must be positive", value=self.rows, place="NewData")


@dataclass(frozen=True)
class NewRelease(Trigger):
    """The project's code is not that which the champion was trained by. Each release asks once."""


@dataclass(frozen=True)
class StaleModel(Trigger):
    """What the champion learnt is older than ``age``.

    Args:
        age: A duration such as ``"30d"``.

    Raises:
        DefinitionError: If it is not a positive duration.
    """

    age: str

    def __post_init__(self) -> None:
        parse_duration(self.age, name="the age of StaleModel")

    @property
    def length(self) -> timedelta:
        """The age."""
        return parse_duration(self.age)


def _parts(trigger: Trigger, kind: type[AnyOf | AllOf]) -> tuple[Trigger, ...]:
    return trigger.parts if isinstance(trigger, kind) else (trigger,)
