"""What must hold before this project is released. Run with ``pytest`` in the project's folder."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import everfit as ef

FOLDER = Path(__file__).parents[1]
MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def project() -> ef.Project:
    return ef.load_project(FOLDER)


def settled(late: list[bool | None]) -> pl.LazyFrame:
    """A customer's invoices, settled one a day from the first of May on; not settled where it is not known."""
    settled_at = [None if was is None else MAY + timedelta(days=day) for day, was in enumerate(late)]
    return pl.LazyFrame({"customer": "north", "settled_at": settled_at, "paid_late": late})


def test_the_outcome_is_not_a_request_field(project):
    assert not {"paid_late", "settled_at"} & set(project.model("late_payment").request)


def test_the_history_is_that_of_settled_invoices(project):
    rows = project.view("payment_history").transform(settled([True, False, None])).collect().sort("settled_at")
    assert rows["invoices_180d"].to_list() == [1, 2]
    assert rows["late_share_180d"].to_list() == [1.0, 0.5]


def test_an_invoice_is_settled_after_it_was_issued():
    invoices = pl.read_csv(FOLDER / "data" / "invoices.csv", try_parse_dates=True)
    assert (invoices["settled_at"] > invoices["issued_at"]).drop_nulls().all()
