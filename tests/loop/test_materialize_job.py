"""The online store follows the sources, and says so when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.shop import make_project

from everfit.commands.features import describe_views
from everfit.loop.materialize_job import OnlineRefresh
from everfit.system import System
from everfit.wiring import open_system


@pytest.fixture
def system(tmp_path: Path) -> System:
    return open_system(make_project(tmp_path / "shop"))


def test_it_is_brought_up_to_date_when_due(system: System) -> None:
    refresh = OnlineRefresh(system, 60)
    assert refresh.refresh_if_due() == ""
    [before] = describe_views(system)
    assert before.materialized_until is not None
    assert refresh.refresh_if_due() == ""
    [after] = describe_views(system)
    assert after.materialized_until == before.materialized_until


def test_nought_means_never(system: System) -> None:
    assert OnlineRefresh(system, 0).refresh_if_due() == ""
    [view] = describe_views(system)
    assert view.materialized_until is None


def test_a_source_that_is_gone_is_said_until_it_is_back(system: System) -> None:
    refresh, source = OnlineRefresh(system, 60), system.project.root / "orders.parquet"
    away = source.rename(source.with_suffix(".away"))
    for _ in range(2):
        assert "there must be a file to read" in refresh.refresh_if_due()
    away.rename(source)
    assert refresh.refresh_if_due() == ""


def test_a_source_that_cannot_be_read_is_no_end_of_the_round(system: System) -> None:
    system.project.root.joinpath("orders.parquet").write_bytes(b"PAR1 and then nothing of the kind PAR1")
    assert "could not be brought up to date" in OnlineRefresh(system, 60).refresh_if_due()
