"""Triggers of retraining, as values; :mod:`everfit.triggers` evaluates them.

``|`` (or) and ``&`` (and) combine them: ``PerformanceDrop() | Every("30d") & NewData(rows=10_000)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from everfit.core.duration import parse_duration
from everfit.core.errors import DefinitionError

_MICROSECOND = timedelta(microseconds=1)
_LONGEST_SHIFT = timedelta(hours=3)
"""Upper bound of a clock change backwards, which is two hours in Antarctica/Troll."""


class Trigger:
    """A condition for retraining."""

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
        """Yield the triggers of a combination; of any other trigger, itself."""
        yield self


@dataclass(frozen=True)
class _Combination(Trigger):
    parts: tuple[Trigger, ...]

    @property
    def leaves(self) -> Iterator[Trigger]:
        for part in self.parts:
            yield from part.leaves


@dataclass(frozen=True)
class AnyOf(_Combination):
    """True if at least one of its parts is true; false without parts."""


@dataclass(frozen=True)
class AllOf(_Combination):
    """True if all of its parts are true. Raises :class:`DefinitionError` if there are none."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise DefinitionError("AllOf needs at least one trigger", value=self.parts)


@dataclass(frozen=True)
class Every(Trigger):
    """True after a period since the champion's training, or since the last training order of any cause.

    Args:
        period: A duration such as ``30d``.

    Raises:
        DefinitionError: If it is not a positive duration.
    """

    period: str

    def __post_init__(self) -> None:
        parse_duration(self.period, name="the period of Every")

    @property
    def length(self) -> timedelta:
        """Return the period as a duration."""
        return parse_duration(self.period)


@dataclass(frozen=True)
class Cron(Trigger):
    """True from the scheduled times of a cron expression on, until a training order is given.

    Several scheduled times without a training order count as one.

    Args:
        expression: Minute, hour, day of the month, month, day of the week: ``0 3 * * *`` is daily at 03:00.
        zone: Time zone of the expression, such as ``Europe/Berlin``. A local time that is skipped when clocks go
            forward is replaced by the instant of the change; of a local time that occurs twice, the first is used.
        within: A duration such as ``1h``: the trigger is true only for this time after each scheduled time, so that a
            combination with another trigger is limited to that window. By default it stays true until a training order
            is given.

    Raises:
        DefinitionError: If the expression is not valid or never occurs, if ``zone`` is not a time zone, or if
            ``within`` is not a positive duration.
    """

    expression: str
    zone: str = "UTC"
    within: str | None = None

    def __post_init__(self) -> None:
        example = "Write it like '0 3 * * *', daily at 03:00."
        if not isinstance(self.expression, str) or len(self.expression.split()) != 5:
            raise DefinitionError("a cron expression must have five fields", value=self.expression, remedy=example)
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError, TypeError) as error:  # unknown, a path, a folder of zones, or no text
            rule = "the zone of Cron must be a name of the IANA time zone database"
            raise DefinitionError(rule, value=self.zone, remedy="Write it like 'Europe/Berlin'.") from error
        if self.within is not None:
            parse_duration(self.within, name="within of Cron")
        try:
            self.after(datetime(2000, 1, 1, tzinfo=UTC))
        except ValueError as error:
            rule = f"a cron expression must be valid and occur at some time ({error})"
            raise DefinitionError(rule, value=self.expression, remedy=example) from error

    @property
    def window(self) -> timedelta | None:
        """Return ``within`` as a duration; ``None``: until an order is given."""
        return None if self.within is None else parse_duration(self.within)

    @property
    def text(self) -> str:
        """Return the expression, with its zone if that is not UTC."""
        return f"'{self.expression}'" if self.zone == "UTC" else f"'{self.expression}' in {self.zone}"

    def until(self, now: datetime) -> datetime:
        """Return the newest scheduled time that is not later than ``now``, in UTC."""
        zone, local = ZoneInfo(self.zone), now.astimezone(ZoneInfo(self.zone))
        # In the second of two equal hours, all times of the hour have occurred already.
        reach = _LONGEST_SHIFT if local.fold else _MICROSECOND
        ticks = self._ticks(local.replace(tzinfo=None, fold=0) + reach, forwards=False)
        return next(tick for wall in ticks if (tick := instant_at(wall, zone)) <= now)

    def after(self, now: datetime) -> datetime:
        """Return the first scheduled time that is later than ``now``, in UTC."""
        zone, local = ZoneInfo(self.zone), now.astimezone(ZoneInfo(self.zone))
        ticks = self._ticks(local.replace(tzinfo=None, fold=0), forwards=True)
        return next(tick for wall in ticks if (tick := instant_at(wall, zone)) > now)

    def _ticks(self, start: datetime, *, forwards: bool) -> Iterator[datetime]:
        """Yield scheduled local times, naive, after or before a start."""
        # In UTC, since some versions of croniter take naive times as times of this machine's zone.
        from croniter import croniter  # type: ignore[import-untyped]  # 40 ms, with dateutil

        ticks = croniter(self.expression, start.replace(tzinfo=UTC), ret_type=datetime)
        yield from (tick.replace(tzinfo=None) for tick in (ticks.all_next() if forwards else ticks.all_prev()))


@dataclass(frozen=True)
class NewData(Trigger):
    """True for each ``rows`` labels of the events' source that became known since the champion's training.

    Args:
        rows: Number of labelled rows, 1 or more.

    Raises:
        DefinitionError: If ``rows`` is not positive.
    """

    rows: int

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise DefinitionError("rows must be positive", value=self.rows, place="NewData")


@dataclass(frozen=True)
class NewRelease(Trigger):
    """True once for each release of the project's code that differs from the code of the champion's training."""


@dataclass(frozen=True)
class StaleModel(Trigger):
    """True if the newest training rows of the champion are older than ``age``.

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
        """Return the age as a duration."""
        return parse_duration(self.age)


def instant_at(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return a local time of a zone as an instant in UTC.

    Of a local time that occurs twice, it is the first; of one that is skipped, the instant of the clock change.

    >>> [instant_at(datetime(2026, 3, 29, hour, 30), ZoneInfo("Europe/Berlin")).hour for hour in (1, 2, 3)]
    [0, 1, 1]
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return first
    # For a skipped time, fold 0 uses the offset before the change and fold 1 that after it: the change is in between.
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    offset = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, high)
    return high.replace(microsecond=0)


def _parts(trigger: Trigger, kind: type[AnyOf | AllOf]) -> tuple[Trigger, ...]:
    return trigger.parts if isinstance(trigger, kind) else (trigger,)
