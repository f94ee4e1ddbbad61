"""Sample data of the templates: it ends the day before, and the same day gives the same data."""

from __future__ import annotations

from datetime import date
from io import StringIO

import polars as pl
import pytest

from everfit.cli.sample_data import DAYS, sample_data

TODAYS = [date(2024, 2, 29), date(2026, 6, 30), date(2027, 1, 1), date(2028, 3, 1)]
IDS = {"forecasting": "sale_id", "regression": "repair_id", "binary": "invoice_id", "multiclass": "ticket_id"}
EVENTS = {"regression": "brought_at", "binary": "issued_at", "multiclass": "opened_at"}
LABELS = {
    "regression": ("minutes", "finished_at"),
    "binary": ("paid_late", "settled_at"),
    "multiclass": ("team", "closed_at"),
}


def read(template: str, today: date) -> pl.DataFrame:
    _, content = sample_data(template, today)
    return pl.read_csv(StringIO(content), try_parse_dates=True)


@pytest.mark.parametrize("today", TODAYS)
def test_the_data_ends_the_day_before_and_has_every_shop_on_every_day(today: date) -> None:
    sales = read("forecasting", today)
    days = sales["opens_at"].dt.date()
    assert (days.max(), days.n_unique()) == (today.fromordinal(today.toordinal() - 1), DAYS)
    assert sales.group_by(days).len()["len"].unique().to_list() == [4]
    assert sales["sold"].min() > 0  # type: ignore[operator]


@pytest.mark.parametrize("template", IDS)
def test_the_same_day_gives_the_same_data_with_an_id_for_each_row(template: str) -> None:
    assert sample_data(template, TODAYS[0]) == sample_data(template, TODAYS[0])
    assert read(template, TODAYS[0])[IDS[template]].is_unique().all()


@pytest.mark.parametrize("today", TODAYS)
@pytest.mark.parametrize("template", LABELS)
def test_labels_are_known_before_the_day_and_later_than_their_event(template: str, today: date) -> None:
    rows, (label, known_at) = read(template, today), LABELS[template]
    event = EVENTS[template]
    days = rows[event].dt.date()
    assert (days.max(), days.n_unique()) == (today.fromordinal(today.toordinal() - 1), DAYS)
    assert rows[known_at].drop_nulls().dt.date().max() < today  # type: ignore[operator]
    assert (rows[known_at] > rows[event]).drop_nulls().all()
    assert rows[label].null_count() == rows[known_at].null_count() < rows.height // 10
