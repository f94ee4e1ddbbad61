"""The real flights: nothing known later reaches a feature, and the figures that the README of the data asks for."""

from __future__ import annotations

import os
import random
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import everfit as ef
from everfit.core.columns import TIME
from everfit.core.evidence import ID
from everfit.features.history import build_frame
from everfit.measures.quality import metric_for
from everfit.store.reader import Reader
from everfit.wiring import import_definitions

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"
ROWS = 1_000
Row = dict[str, Any]
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")

pytestmark = pytest.mark.data


@pytest.fixture
def project(data_folder: Path) -> ef.Project:
    return ef.load_project(FLIGHTS, flags={"paths.data": str(data_folder)})


class History:
    """Rows of one entity in the order in which they became known."""

    def __init__(self, rows: list[tuple[datetime, Row]]) -> None:
        self._rows = sorted(rows, key=lambda each: each[0])
        self._times = [at for at, _ in self._rows]

    def known(self, asked: datetime, *, within: timedelta) -> list[tuple[datetime, Row]]:
        """The rows that became known in ``[asked - within, asked]``."""
        return self._rows[bisect_left(self._times, asked - within) : bisect_right(self._times, asked)]


class Raw:
    """The raw files as plain Python rows, and features recomputed from them one flight at a time."""

    def __init__(self, folder: Path) -> None:
        self.flights = pl.read_parquet(folder / "flights.parquet").to_dicts()
        departed = [each for each in self.flights if each["dep_ts"] is not None]
        landed = [each for each in self.flights if each["arr_delay"] is not None]
        reports = pl.read_parquet(folder / "weather.parquet").to_dicts()
        self._departed = _by_key((each["origin"], _left(each), each) for each in departed)
        self._carriers = _by_key((each["carrier"], each["label_ts"], each) for each in landed)
        self._destinations = _by_key((each["dest"], each["label_ts"], each) for each in landed)
        self._weather = _by_key((each["origin"], each["observed_ts"], each) for each in reports)

    def features(self, flight: Row) -> Row:
        """All features that have a history, from rows known at the scheduled departure only."""
        return {
            **self._weather_at(flight),
            **self._departures(flight),
            **_record("carrier_record", self._carriers[flight["carrier"]], flight),
            **_record("destination_record", self._destinations[flight["dest"]], flight),
        }

    def _weather_at(self, flight: Row) -> Row:
        known = self._weather[flight["origin"]].known(flight["sched_dep_ts"], within=timedelta(hours=3))
        newest = known[-1][1] if known else {}
        return {f"weather.{name}": newest.get(name) for name in WEATHER}

    def _departures(self, flight: Row) -> Row:
        names = [f"departures.{name}" for name in ("delay_mean", "late_share", "count")]
        known = self._departed[flight["origin"]].known(flight["sched_dep_ts"], within=timedelta(hours=9))
        _require_others(known, flight)
        if not known or known[-1][0] < flight["sched_dep_ts"] - timedelta(hours=6):
            return dict.fromkeys(names)
        delays = [each["dep_delay"] for at, each in known if at > known[-1][0] - timedelta(hours=2)]
        late = sum(delay >= 15 for delay in delays)
        return dict(zip(names, (sum(delays) / len(delays), late / len(delays), len(delays)), strict=True))


def _record(view: str, history: History, flight: Row) -> Row:
    asked = flight["sched_dep_ts"]
    known = history.known(asked, within=timedelta(days=18))
    _require_others(known, flight)
    shares: Row = {}
    for name, period in (("6h", timedelta(hours=6)), ("14d", timedelta(days=14))):
        shares[f"{view}.late_share_{name}"] = None
        if known and known[-1][0] >= asked - timedelta(days=3):
            late = [each["arr_delay"] >= 15 for at, each in known if at > known[-1][0] - period]
            shares[f"{view}.late_share_{name}"] = sum(late) / len(late)
    return shares


def _require_others(known: list[tuple[datetime, Row]], flight: Row) -> None:
    assert all(each["flight_id"] != flight["flight_id"] for _, each in known), "a flight saw its own outcome"


def _left(flight: Row) -> datetime:
    """When a departure counts: the minute after the plane left, and never before it was due."""
    at: datetime = max(flight["dep_ts"], flight["sched_dep_ts"]) + timedelta(minutes=1)
    return at


def _by_key(rows: Iterable[tuple[str, datetime, Row]]) -> defaultdict[str, History]:
    grouped: defaultdict[str, list[tuple[datetime, Row]]] = defaultdict(list)
    for key, at, row in rows:
        grouped[key].append((at, row))
    return defaultdict(lambda: History([]), {key: History(each) for key, each in grouped.items()})


@pytest.mark.slow
def test_a_thousand_flights_recomputed_by_brute_force(project: ef.Project, data_folder: Path) -> None:
    model = project.model("late_arrival")
    frame = build_frame(model, Reader(project.root, project.settings.paths), as_of=datetime(2014, 1, 3, tzinfo=UTC))
    raw = Raw(data_folder)
    flights = {flight["flight_id"]: flight for flight in raw.flights}
    chosen = random.Random(20130101).sample(frame.data[ID].to_list(), ROWS)
    computed = {row[ID]: row for row in frame.data.filter(pl.col(ID).is_in(chosen)).to_dicts()}
    with_history = [name for name in frame.features if name.partition(".")[0] in {each.name for each in model.views}]
    wrong = []
    for flight_id in chosen:
        expected = raw.features(flights[flight_id])
        assert sorted(expected) == sorted(with_history)
        for name, value in expected.items():
            found = computed[flight_id][name]
            if (found is None) != (value is None) or (value is not None and found != pytest.approx(value, rel=1e-9)):
                wrong.append((flight_id, name, value, found))
    assert wrong == []


@pytest.mark.slow
def test_outcomes_of_the_future_do_not_change_a_feature(project: ef.Project, data_folder: Path, tmp_path: Path) -> None:
    """The same frame from files in which everything later than its end has been blanked out."""
    end = datetime(2013, 1, 25, 17, 30, tzinfo=UTC)
    outcomes = ["dep_ts", "dep_delay", "arr_delay", "air_time", "label_ts"]
    flights = pl.read_parquet(data_folder / "flights.parquet")
    unknown_yet = {name: pl.col("dep_ts" if name.startswith("dep") else "label_ts") > end for name in outcomes}
    flights.with_columns(
        pl.when(later).then(None).otherwise(pl.col(name)).alias(name) for name, later in unknown_yet.items()
    ).write_parquet(tmp_path / "flights.parquet")
    weather = pl.read_parquet(data_folder / "weather.parquet")
    weather.filter(pl.col("observed_ts") <= end).write_parquet(tmp_path / "weather.parquet")
    model = project.model("late_arrival")
    full = build_frame(model, Reader(project.root, {"data": str(data_folder)}), as_of=datetime(2014, 1, 3, tzinfo=UTC))
    cut = build_frame(model, Reader(project.root, {"data": str(tmp_path)}), as_of=end)
    then = full.data.filter(pl.col(TIME) < end)
    assert len(then) > 19_000
    assert cut.data.select(ID, *cut.features).equals(then.select(ID, *full.features))


def test_every_flight_flown_as_planned_is_a_row(project: ef.Project) -> None:
    model = project.model("late_arrival")
    frame = build_frame(model, Reader(project.root, project.settings.paths), as_of=datetime(2014, 1, 3, tzinfo=UTC))
    assert frame.manifest.rows == frame.manifest.labelled == 327_346
    assert not {"dep_ts", "dep_delay", "arr_delay", "air_time", "label_ts", "sched_arr_ts"} & set(frame.features)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("monthly", "at_least"),
    [
        (False, 0.71),
        pytest.param(
            True,
            0.745,
            marks=pytest.mark.skipif(
                "EVERFIT_TEST_REPLAYS" not in os.environ, reason="minutes: set EVERFIT_TEST_REPLAYS=1"
            ),
        ),
    ],
)
def test_the_year_is_walked_as_well_as_promised(project: ef.Project, monthly: bool, at_least: float) -> None:
    walk = import_definitions(FLIGHTS, "walk")
    truth, chance = walk.walk(project, monthly=monthly)
    assert len(truth) == len(chance) > 275_000
    assert metric_for("roc_auc", "binary").compute(truth, chance) >= at_least
