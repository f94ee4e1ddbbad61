"""What must hold before this project is released. Run with ``pytest`` in the project's folder."""

from pathlib import Path

import polars as pl
import pytest

import everfit as ef


@pytest.fixture(scope="module")
def project() -> ef.Project:
    return ef.load_project(Path(__file__).parents[1])


def rows(project: ef.Project, source: str) -> pl.DataFrame:
    return project.sources[source].function().lazy().collect()


def test_what_the_customer_cannot_know_is_not_asked_for(project):
    assert not {"delivered_at", "late", "confirmed_at"} & set(project.model("late_delivery").request)


def test_the_kitchen_is_known_only_when_its_last_report_has_arrived(project):
    kitchen = project.view("kitchen").transform(rows(project, "shop_reports").lazy()).collect()
    assert (kitchen["created"] > kitchen["reported_at"]).all()


def test_a_courier_is_judged_by_confirmed_deliveries_only(project):
    orders = rows(project, "orders").filter(pl.col("courier") == "courier_010").sort("confirmed_at")
    record = project.view("courier_record").transform(orders.lazy()).collect().sort("confirmed_at")
    known = orders.filter(pl.col("confirmed_at") <= orders["confirmed_at"][4])
    assert record["late_share"][4] == pytest.approx(known["late"].mean())
    assert record["deliveries"][4] == len(known)


def test_some_orders_are_late_but_most_are_not(project):
    assert 0.05 < rows(project, "orders")["late"].mean() < 0.35
