"""Inputs of three real services, their stationary years, and the incidents that daily evaluations of them open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from tests.monitoring.counted import count_windows

import everfit as ef
from everfit.core.columns import KNOWN_AT, LABEL, PREDICTION, TIME
from everfit.core.finding import Finding, Incident
from everfit.monitoring.common_cause import with_unit_changes
from everfit.monitoring.data_quality import column_findings
from everfit.monitoring.drift_windows import Counted, Judged, drift_findings, drift_windows, windows_joined
from everfit.monitoring.incidents import reconcile
from everfit.monitoring.performance import Scale
from everfit.monitoring.reference import HELD_OUT, ReferenceProfile
from everfit.monitoring.unit_change import unit_changes_of, unit_findings

DAY = timedelta(days=1)
CATEGORIES = "category"


@dataclass(frozen=True)
class Stream:
    """Inputs of one service over time, with the calendar columns that its model computes."""

    rows: pl.DataFrame
    features: tuple[str, ...]
    continuous: tuple[str, ...]
    """Columns with a unit."""
    calendar: tuple[str, ...]
    start: datetime
    """Days before are no ordinary ones."""
    end: datetime

    @property
    def ordinary(self) -> pl.DataFrame:
        return self.rows.filter(pl.col(TIME).is_between(self.start, self.end, closed="left"))


def bikes(folder: Path) -> Stream:
    rows = pl.read_parquet(folder / "bike_hourly.parquet").rename({"ts": TIME})
    features = ("season", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit", "temp", "atemp", "hum",
                "windspeed")  # fmt: skip
    start, end = datetime(2011, 1, 3, 5, tzinfo=UTC), datetime(2012, 12, 31, tzinfo=UTC)
    calendar = ("season", "mnth", "hr", "holiday", "weekday", "workingday")
    return Stream(rows, features, ("temp", "atemp", "hum", "windspeed"), calendar, start, end)


def flights(folder: Path) -> Stream:
    weather = pl.read_parquet(folder / "weather.parquet").sort("observed_ts")
    flown = pl.read_parquet(folder / "flights.parquet").filter(
        ~pl.col("cancelled") & ~pl.col("diverted") & pl.col("sched_dep_ts").is_not_null()
    )
    local = pl.col("sched_dep_ts").dt.convert_time_zone("America/New_York")
    rows = (
        flown.sort("sched_dep_ts")
        .join_asof(
            weather, left_on="sched_dep_ts", right_on="observed_ts", by="origin", tolerance="3h", check_sortedness=False
        )
        .with_columns(hour=local.dt.hour() + local.dt.minute() / 60, weekday=local.dt.weekday())
        .rename({"sched_dep_ts": TIME})
    )
    measured = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
    features = ("carrier", "origin", "dest", "distance", "hour", "weekday", *measured)
    continuous = ("distance", "temp", "dewp", "humid", "wind_speed", "pressure", "visib")
    start, end = datetime(2013, 1, 7, 5, tzinfo=UTC), datetime(2013, 12, 30, 5, tzinfo=UTC)
    return Stream(rows, features, continuous, ("hour", "weekday"), start, end)


def bookings(folder: Path) -> Stream:
    rows = pl.read_parquet(folder / "hotel_bookings.parquet").rename({"booking_ts": TIME}).sort(TIME)
    rows = rows.with_columns(
        weekday=pl.col(TIME).dt.weekday(),
        agent=pl.col("agent").cast(pl.String),
        company=pl.col("company").cast(pl.String),
    )
    features = ("hotel", "lead_time", "stays_in_weekend_nights", "stays_in_week_nights", "adults", "children", "babies",
                "meal", "country", "market_segment", "distribution_channel", "is_repeated_guest",
                "previous_cancellations", "previous_bookings_not_canceled", "reserved_room_type", "deposit_type",
                "agent", "customer_type", "adr", "weekday")  # fmt: skip
    continuous = ("lead_time", "adr", "stays_in_week_nights", "adults")
    start, end = datetime(2015, 10, 5, tzinfo=UTC), datetime(2017, 4, 3, tzinfo=UTC)
    return Stream(rows, features, continuous, ("weekday",), start, end)


STREAMS: Mapping[str, Callable[[Path], Stream]] = {"bikes": bikes, "flights": flights, "bookings": bookings}


def stationary(stream: Stream, *, seed: int, weeks: int) -> pl.DataFrame:
    """Weeks drawn at random and set one after another: days differ as real ones do, but nothing changes."""
    dice, rows = np.random.default_rng(seed), stream.ordinary
    week = ((pl.col(TIME) - stream.start).dt.total_seconds() // (7 * 86_400)).alias("__week")
    parts = list(rows.with_columns(week).partition_by("__week", as_dict=True).items())
    held = [(int(key[0]), part.drop("__week")) for key, part in parts]
    drawn = [held[place] for place in dice.integers(len(held), size=weeks)]
    moved = [part.with_columns(pl.col(TIME) + 7 * DAY * (place - number)) for place, (number, part) in enumerate(drawn)]
    whole: pl.DataFrame = pl.concat(moved)
    return whole.sort(TIME, maintain_order=True)


def reference_of_rows(stream: Stream, rows: pl.DataFrame) -> ReferenceProfile:
    """The profile that a version trained on these rows has; a fifth is held out."""
    cut = rows[int(rows.height * 0.8), TIME]
    kept = pl.concat(
        [
            part.gather_every(max(1, -(-part.height // 25_000)))
            for part in (rows.filter(pl.col(TIME) < cut), rows.filter(pl.col(TIME) >= cut))
        ]
    )
    profile = kept.select(TIME, *stream.features).with_columns(
        pl.col(TIME).alias(KNOWN_AT), pl.lit(0.0).alias(LABEL), (pl.col(TIME) >= cut).alias(HELD_OUT),
        pl.lit(0.5).alias(PREDICTION),
    )  # fmt: skip
    scale = Scale(task="binary", metric="log_loss", classes=(False, True))
    return ReferenceProfile(profile, scale, stream.features, {}, DAY)


def windows_of(rows: pl.DataFrame, reference: ReferenceProfile) -> tuple[Counted, ...]:
    bare = rows.select(TIME, *reference.features).with_columns(pl.lit(0.5).alias(PREDICTION))
    return count_windows(bare, reference, until=rows[TIME][-1] + DAY)


def evaluations(reference: ReferenceProfile, windows: tuple[Counted, ...]) -> list[list[Finding]]:
    """The findings of inputs after every window."""
    watch, judged, found = ef.Drift(), Judged(), []
    for place in range(1, len(windows) + 1):
        newest = windows[place - 1]
        now = windows[:place]
        level, joined = reference.window_level(watch.alpha), windows_joined(newest, reference)
        findings = column_findings(
            reference.inputs, newest.inputs, "m", since=newest.start, joined=joined, alpha=level, excused=[]
        )
        findings = with_unit_changes(findings, unit_findings(unit_changes_of(now, reference, alpha=watch.alpha), "m"))
        drifts = drift_windows(now, reference, watch, judged=judged, since=now[-30].start if place > 30 else None)
        findings += drift_findings(drifts, (PREDICTION,), "m", excused=[one.subject for one in findings])
        found.append(findings)
    return found


def incidents(windows: tuple[Counted, ...], found: list[list[Finding]]) -> list[Incident]:
    """Every incident that the evaluations open."""
    known: dict[int, Incident] = {}
    for window, findings in zip(windows, found, strict=True):
        before = [one for one in known.values() if one.resolved_at is None or one.resolved_at > window.end - DAY]
        changes = reconcile(before, findings, now=window.end, next_number=len(known) + 1)
        for part in (changes.opened, changes.reopened, changes.worsened, changes.ongoing, changes.resolved):
            known |= {one.number: one for one in part}
    return [known[number] for number in sorted(known)]
