from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import everfit as ef
from everfit.core.errors import DefinitionError
from everfit.features.lookup import look_up, materialized_until
from everfit.features.materialize import materialize
from everfit.store.reader import Reader
from everfit.store.sqlite_online import OnlineStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stock() -> pl.DataFrame:
    return pl.DataFrame(
        {"shop": [7, 7], "day": [date(2026, 3, 1)] * 2, "at": [NOON, NOON + timedelta(hours=1)], "left": [3, 1]}
    )


@pytest.fixture
def view() -> ef.FeatureView:
    entities = [ef.Entity("shop", dtype=pl.Int64), ef.Entity("day", dtype=pl.Date)]
    source = ef.Source("stock", function=stock, timestamp="at")
    return ef.FeatureView("stock", entities=entities, source=source, features=["left"], ttl="2h")


def test_it_answers_by_the_rules_of_time(view: ef.FeatureView, tmp_path: Path) -> None:
    online = OnlineStore(tmp_path / "online.db")
    assert materialized_until(online.state(view.name, view.definition)) is None
    until = NOON + timedelta(hours=1)
    materialize([view], Reader(tmp_path, {}), online, until=until)
    assert materialized_until(online.state(view.name, view.definition)) == until
    key = ["7", "2026-03-01"]
    assert look_up(view, key, online, at=until) == {"left": 1}
    assert look_up(view, key, online, at=until + timedelta(hours=2)) == {"left": 1}
    assert look_up(view, key, online, at=until + timedelta(hours=2, microseconds=1)) is None
    assert look_up(view, ["8", "2026-03-01"], online, at=until) is None


def test_a_key_of_the_wrong_form_is_refused(view: ef.FeatureView, tmp_path: Path) -> None:
    online = OnlineStore(tmp_path / "online.db")
    with pytest.raises(DefinitionError, match="one value for each of: shop, day"):
        look_up(view, ["7"], online, at=NOON)
    with pytest.raises(DefinitionError, match="the key shop must be of type Int64"):
        look_up(view, ["seven", "2026-03-01"], online, at=NOON)
