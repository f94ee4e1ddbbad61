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


def closed(teams: list[str | None]) -> pl.LazyFrame:
    """A product's tickets, closed one a day from the first of May on; open where the team is not known."""
    closed_at = [None if team is None else MAY + timedelta(days=day) for day, team in enumerate(teams)]
    return pl.LazyFrame({"product": "lamp", "closed_at": closed_at, "team": teams})


def test_the_outcome_is_not_a_request_field(project):
    assert not {"team", "closed_at"} & set(project.model("routing").request)


def test_open_tickets_are_not_counted(project):
    rows = project.view("recent_tickets").transform(closed(["technical", "billing", None])).collect().sort("closed_at")
    assert rows["closed_7d"].to_list() == [1, 2]
    assert rows["technical_7d"].to_list() == [1.0, 0.5]


def test_every_team_is_known():
    tickets = pl.read_csv(FOLDER / "data" / "tickets.csv")
    assert set(tickets["team"].drop_nulls()) == {"billing", "returns", "shipping", "technical"}
