from __future__ import annotations

from datetime import date
from io import StringIO

import polars as pl
import pytest

from everfit.cli.init import DAYS, sales_csv


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2026, 6, 30), date(2027, 1, 1), date(2028, 3, 1)])
def test_the_data_ends_the_day_before_and_has_every_shop_on_every_day(today: date) -> None:
    sales = pl.read_csv(StringIO(sales_csv(today)), try_parse_dates=True)
    days = sales["opens_at"].dt.date()
    assert (days.max(), days.n_unique()) == (today.fromordinal(today.toordinal() - 1), DAYS)
    assert sales.group_by(days).len()["len"].unique().to_list() == [4]
    assert sales["sale_id"].is_unique().all()
    assert sales["sold"].min() > 0  # type: ignore[operator]
    assert sales_csv(today) == sales_csv(today)
