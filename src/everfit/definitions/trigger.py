"""What can ask for a new training. Values; :mod:`everfit.triggers` says when they do.

``|`` and ``&`` combine them: ``PerformanceDrop() | Every("30d") & NewData(rows=10_000)``.
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
"""Clocks are put back by at most this: two hours in Antarctica/Troll."""


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
    """At the times that a cron expression names.

    A time that passed while no order could be given counts once, however many passed; with ``within``, it counts only
    for that long, and the next time is waited for.

    Args:
        expression: Minute, hour, day of the month, month, day of the week: ``0 3 * * *`` is daily at three.
        zone: The time zone of the expression, such as ``Europe/Berlin``. Where the clocks are put forward, a time that
            does not exist comes when the clocks change; where they are put back, a time that exists twice comes at the
            first.
        within: A duration such as ``1h``: it asks only from each time until that long after, so that together with
            another trigger an order is given in that window or not at all. By default it asks until an order is given.

    Raises:
        DefinitionError: If it is no such expression, names a time that never comes, or if ``zone`` is no time zone or
            ``within`` no positive duration.
    """

    expression: str
    zone: str = "UTC"
    within: str | None = None

    def __post_init__(self) -> None:
        example = "Write it like '0 3 * * *', daily at 03:00."
        if not isinstance(self.expression, str) or len(self.expression.split()) != 5:
            raise DefinitionError("a cron expression must have five fields", value=self.expression, remedy=example)
        if not isinstance(self.zone, str) or not _is_zone(self.zone):
            raise DefinitionError(
                "the zone of Cron must be a name of the IANA time zone database",
                value=self.zone,
                remedy="Write it like 'Europe/Berlin'.",
            )
        if self.within is not None:
            parse_duration(self.within, name="within of Cron")
        try:
            self.after(datetime(2000, 1, 1, tzinfo=UTC))
        except ValueError as error:
            raise DefinitionError(
                f"a cron expression must name times that come ({error})", value=self.expression, remedy=example
            ) from error

    @property
    def window(self) -> timedelta | None:
        """Duration after each scheduled time in which it may cause an order; ``None``: until an order is given."""
        return None if self.within is None else parse_duration(self.within)

    @property
    def text(self) -> str:
        """The expression, with its zone where that is not UTC."""
        return f"'{self.expression}'" if self.zone == "UTC" else f"'{self.expression}' in {self.zone}"

    def until(self, now: datetime) -> datetime:
        """The newest of its times that is not later than ``now``, in UTC."""
        zone, local = ZoneInfo(self.zone), now.astimezone(ZoneInfo(self.zone))
        # In an hour that exists twice, times up to its end have already come, at their first occurrence.
        reach = _LONGEST_SHIFT if local.fold else _MICROSECOND
        ticks = self._ticks(local.replace(tzinfo=None, fold=0) + reach, forwards=False)
        return next(tick for wall in ticks if (tick := instant_at(wall, zone)) <= now)

    def after(self, now: datetime) -> datetime:
        """The first of its times that is later than ``now``, in UTC."""
        zone, local = ZoneInfo(self.zone), now.astimezone(ZoneInfo(self.zone))
        ticks = self._ticks(local.replace(tzinfo=None, fold=0), forwards=True)
        return next(tick for wall in ticks if (tick := instant_at(wall, zone)) > now)

    def _ticks(self, start: datetime, *, forwards: bool) -> Iterator[datetime]:
        """Its times on the clock on the wall, from after or before a start, naive."""
        from croniter import croniter  # type: ignore[import-untyped]

        # In UTC, since croniter takes naive times for those of this machine's zone in some versions.
        ticks = croniter(self.expression, start.replace(tzinfo=UTC))
        while True:
            found = ticks.get_next(datetime) if forwards else ticks.get_prev(datetime)
            assert isinstance(found, datetime)
            yield found.replace(tzinfo=None)


@dataclass(frozen=True)
class NewData(Trigger):
    """Labels of so many rows of the events' source became known since the champion was trained.

    It fires again at twice, three times as many.

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


def instant_at(wall: datetime, zone: ZoneInfo) -> datetime:
    """A time on a zone's clocks as an instant in UTC.

    Where the clocks are put back, it is the first of two; where they are put forward and skip it, their change.

    >>> [instant_at(datetime(2026, 3, 29, hour, 30), ZoneInfo("Europe/Berlin")).hour for hour in (1, 2, 3)]
    [0, 1, 1]
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
        return first
    # In a gap, fold 0 counts by the offset before it, fold 1 by that after it: the change lies between them.
    low, high = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    offset = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, high)
    return high.replace(microsecond=0)


def _parts(trigger: Trigger, kind: type[AnyOf | AllOf]) -> tuple[Trigger, ...]:
    return trigger.parts if isinstance(trigger, kind) else (trigger,)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, a path, or a folder of zones
        return False
    return True
