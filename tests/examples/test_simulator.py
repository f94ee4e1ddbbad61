"""The simulated company: repeatable, honest about what is known when, and its incidents begin when they say."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from everfit.wiring import import_definitions

DAYS = 16
TABLES = ("orders", "weather", "shops", "couriers", "truth")
TIME = {
    "orders": "ordered_at",
    "weather": "observed_at",
    "shops": "reported_at",
    "couriers": "changed_at",
    "truth": "ordered_at",
}


@pytest.fixture(scope="module")
def simulator() -> ModuleType:
    return import_definitions(Path(__file__).parents[2] / "examples" / "deliveries", "simulator")


@pytest.fixture(scope="module")
def incidents() -> ModuleType:
    return import_definitions(Path(__file__).parents[2] / "examples" / "deliveries", "incidents")


@pytest.fixture(scope="module")
def quiet(simulator: ModuleType) -> Any:
    return simulator.simulate(1, simulator.START, DAYS)


def noon(simulator: ModuleType, day: int) -> datetime:
    """A moment in the middle of a busy day: incidents need not begin at midnight."""
    start: datetime = simulator.START
    return start + timedelta(days=day, hours=12)


def world_with(simulator: ModuleType, *incidents: Any, days: int = DAYS) -> Any:
    return simulator.simulate(1, simulator.START, days, incidents)


def both(quiet: Any, other: Any) -> pl.DataFrame:
    """The true chances of the orders that are placed in both worlds."""
    pairs: pl.DataFrame = quiet.truth.join(other.truth, on="order_id", suffix="_other").join(
        quiet.orders.select("order_id", "distance_km"), on="order_id"
    )
    return pairs


def test_equal_seeds_give_equal_worlds_and_others_do_not(simulator: ModuleType, quiet: Any) -> None:
    again = simulator.simulate.__wrapped__(1, simulator.START, DAYS)
    for table in TABLES:
        assert_frame_equal(getattr(quiet, table), getattr(again, table))
    assert not quiet.orders.equals(simulator.simulate(2, simulator.START, DAYS).orders)


@pytest.mark.parametrize("table", TABLES)
def test_a_long_world_begins_like_a_short_one(simulator: ModuleType, quiet: Any, table: str) -> None:
    short = getattr(simulator.simulate(1, simulator.START, 9), table)
    until = simulator.START + timedelta(days=9)
    beginning = getattr(quiet, table).filter(pl.col(TIME[table]) < until)
    assert_frame_equal(short.filter(pl.col(TIME[table]) < until), beginning, check_row_order=True)


@pytest.mark.parametrize("kind", ["broken_weather_feed", "mix_shift", "concept_change", "slow_growth"])
def test_nothing_changes_before_an_incident_starts(
    simulator: ModuleType, incidents: ModuleType, quiet: Any, kind: str
) -> None:
    start = noon(simulator, 8)
    world = world_with(simulator, getattr(incidents, kind)(start))
    for table in TABLES:
        # A shop reports on the half hour that has passed.
        before = pl.col(TIME[table]) < start
        assert_frame_equal(getattr(world, table).filter(before), getattr(quiet, table).filter(before))
    assert any(not getattr(world, table).equals(getattr(quiet, table)) for table in TABLES)


def test_a_concept_change_makes_long_ways_late_from_its_start(
    simulator: ModuleType, incidents: ModuleType, quiet: Any
) -> None:
    start, end = noon(simulator, 6), noon(simulator, 11)
    pairs = both(quiet, world_with(simulator, incidents.concept_change(start, end)))
    rise = pl.col("probability_other") - pl.col("probability")
    during = pairs.filter(pl.col("ordered_at") >= start, pl.col("ordered_at") < end)
    after = pairs.filter(pl.col("ordered_at") >= end)
    assert during.filter(pl.col("distance_km") > 3).select(rise.mean()).item() > 0.2
    assert during.filter(pl.col("distance_km") < 1).select(rise.mean()).item() < 0.02
    assert during.select(rise.min()).item() >= 0
    assert after.select(rise.abs().max()).item() == 0


def test_a_broken_feed_freezes_the_reports_but_not_the_weather(
    simulator: ModuleType, incidents: ModuleType, quiet: Any
) -> None:
    start, end = noon(simulator, 6), noon(simulator, 9)
    world = world_with(simulator, incidents.broken_weather_feed(start, end))
    broken = world.weather.filter(pl.col("observed_at") >= start, pl.col("observed_at") < end)
    assert broken["rain_mm"].null_count() == len(broken) > 0
    assert broken.group_by("zone").agg(pl.col("temperature_c").n_unique())["temperature_c"].to_list() == [1] * 6
    whole = world.weather.filter((pl.col("observed_at") < start) | (pl.col("observed_at") >= end))
    assert whole["rain_mm"].null_count() == 0
    assert_frame_equal(world.truth, quiet.truth)
    assert_frame_equal(world.orders, quiet.orders)


def test_a_shift_of_the_mix_changes_who_orders_but_no_orders_chance(
    simulator: ModuleType, incidents: ModuleType, quiet: Any
) -> None:
    start = noon(simulator, 6)
    world = world_with(simulator, incidents.mix_shift(start))
    since = pl.col("ordered_at") >= start
    harbour, noodles = pl.col("zone") == "harbour", pl.col("chain") == "noodle_bar"
    for share in (harbour, noodles):
        was, now = (each.orders.filter(since).select(share.mean()).item() for each in (quiet, world))
        assert now > 1.7 * was
    # An order that is the same in both worlds, at a shop as loaded as before, has the same chance.
    same = ["order_id", "zone", "shop", "courier", "distance_km", "load", "rain_mm"]
    then, now = (
        each.orders.drop("ordered_at").join(each.truth, on="order_id").filter(since) for each in (quiet, world)
    )
    pairs = then.join(now, on=same, suffix="_other")
    assert len(pairs) > 1_000
    assert pairs["probability"].to_list() == pairs["probability_other"].to_list()


def test_slow_growth_is_slow_and_loads_the_shops(simulator: ModuleType, incidents: ModuleType) -> None:
    world = world_with(simulator, incidents.slow_growth(simulator.START + timedelta(days=14)), days=56)
    weeks = world.truth.group_by_dynamic("ordered_at", every="7d", start_by="datapoint").agg(
        pl.len(), pl.col("load").mean(), pl.col("probability").mean()
    )
    assert weeks["len"][2] / weeks["len"][0] < 1.2
    assert weeks["len"][-1] / weeks["len"][0] == pytest.approx(1.015 ** (42 - 3.5), rel=0.06)
    assert weeks["load"][-1] > 1.4 * weeks["load"][0]
    assert weeks["probability"][-1] > weeks["probability"][:2].to_numpy().mean() + 0.03


def test_only_the_shift_of_the_mix_is_harmless(simulator: ModuleType, incidents: ModuleType) -> None:
    script = incidents.script(simulator.START)
    assert {each.kind for each in script if not each.harmful} == {"mix_shift"}
    assert {each.kind for each in script if each.harmful} == {"broken_weather_feed", "concept_change", "slow_growth"}


def test_labels_are_known_about_forty_minutes_later(quiet: Any) -> None:
    delay = (quiet.orders["confirmed_at"] - quiet.orders["ordered_at"]).dt.total_seconds() / 60
    assert 37 < delay.median() < 43
    assert delay.min() > 15
    assert (quiet.orders["confirmed_at"] > quiet.orders["delivered_at"]).all()


def test_the_label_follows_from_the_times(simulator: ModuleType, quiet: Any) -> None:
    took = (pl.col("delivered_at") - pl.col("ordered_at")).dt.total_seconds() / 60
    late = quiet.orders.select(took >= pl.col("promised_minutes") + simulator.GRACE_MINUTES).to_series()
    assert late.to_list() == quiet.orders["late"].to_list()


def test_the_true_chances_are_calibrated(quiet: Any) -> None:
    pairs = quiet.truth.join(quiet.orders.select("order_id", "late"), on="order_id").sort("probability")
    tenths = (
        pairs.with_row_index()
        .group_by(pl.col("index") * 10 // len(pairs))
        .agg(pl.col("probability").mean(), pl.col("late").mean(), pl.len())
    )
    error = (tenths["probability"] - tenths["late"]).abs()
    noise = (tenths["probability"] * (1 - tenths["probability"]) / tenths["len"]).sqrt()
    assert (error < 4 * noise + 1e-3).all()


def test_ids_are_unique_and_the_truth_stays_apart(quiet: Any) -> None:
    assert quiet.orders["order_id"].is_unique().all()
    assert quiet.truth["order_id"].to_list() == quiet.orders["order_id"].to_list()
    assert not {"probability", "load", "rain_mm", "took_minutes"} & set(quiet.orders.columns)


def test_every_order_has_a_courier_on_the_list_and_reports_arrive_late(quiet: Any) -> None:
    assert set(quiet.orders["courier"]) <= set(quiet.couriers["courier"])
    first = quiet.couriers.group_by("courier").agg(pl.col("created").min())
    seen = quiet.orders.join(first, on="courier")
    assert (seen["created"] <= seen["ordered_at"]).all()
    assert (quiet.shops["created"] > quiet.shops["reported_at"]).all()
    for table in TABLES:
        assert getattr(quiet, table).schema[TIME[table]] == pl.Datetime("us", "UTC")


def test_an_incident_refuses_a_naive_start(incidents: ModuleType) -> None:
    with pytest.raises(ValueError, match="time zone"):
        incidents.mix_shift(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the mistake
