"""What can go wrong, or only look wrong, in the simulated company, and when it truly did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Kind = Literal["broken_weather_feed", "mix_shift", "concept_change", "slow_growth"]


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Something that happens to the company in ``[start, end)``.

    Args:
        kind: ``broken_weather_feed``: the sensors repeat their last values, and rain comes as null; the weather itself
            goes on. ``mix_shift``: one chain runs a campaign in one zone and gets far more orders; the chance that an
            order with given features is late stays as it was. ``concept_change``: road works make long ways slow.
            ``slow_growth``: a little more orders every day, so that shops are ever more loaded.
        start: Its true start, aware.
        end: Its true end, exclusive; ``None`` if it lasts.
        description: What happened, for people.
        harmful: Whether a model that learnt before it predicts worse because of it. An alarm about one that is not
            harmful is a false one.
    """

    kind: Kind
    start: datetime
    end: datetime | None = None
    description: str = ""
    harmful: bool

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or (self.end is not None and self.end.tzinfo is None):
            raise ValueError(f"an incident's start and end must have a time zone, but got {self.start}, {self.end}")
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"an incident must end after its start {self.start}, but got {self.end}")


def broken_weather_feed(start: datetime, end: datetime | None = None) -> Incident:
    """The weather sensors freeze."""
    text = "The weather feed repeats its last temperature and wind, and gives no rain."
    return Incident(kind="broken_weather_feed", start=start, end=end, description=text, harmful=True)


def mix_shift(start: datetime, end: datetime | None = None) -> Incident:
    """One chain's campaign changes who orders what, and nothing else."""
    text = "A campaign of the chain Noodle Bar brings many orders from the harbour."
    return Incident(kind="mix_shift", start=start, end=end, description=text, harmful=False)


def concept_change(start: datetime, end: datetime | None = None) -> Incident:
    """Road works slow long ways down."""
    text = "Road works: ways of more than about two kilometres take much longer."
    return Incident(kind="concept_change", start=start, end=end, description=text, harmful=True)


def slow_growth(start: datetime, end: datetime | None = None) -> Incident:
    """Business gets better by 1.5 % a day, up to three times as much."""
    text = "The number of orders grows by 1.5 % a day, and so does the load of the shops."
    return Incident(kind="slow_growth", start=start, end=end, description=text, harmful=True)


def script(start: datetime) -> tuple[Incident, ...]:
    """One of each, in a life of 180 days: the harmless one first, for it is the one that tempts to a false alarm."""

    def day(number: int) -> datetime:
        return start + timedelta(days=number)

    return (
        mix_shift(day(60), day(75)),
        broken_weather_feed(day(90) + timedelta(hours=11), day(94)),
        concept_change(day(110) + timedelta(hours=6)),
        slow_growth(day(135)),
    )
