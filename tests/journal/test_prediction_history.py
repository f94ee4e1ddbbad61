"""The history is what the tables and the log hold, whatever was shipped, repeated and merged between its readings."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal.records import Service, hour

from everfit.core.errors import StoreError
from everfit.journal import live_predictions
from everfit.journal.label_join import first_predictions
from everfit.journal.live_predictions import LivePredictions
from everfit.journal.prediction_history import PredictionHistory
from everfit.journal.ship import ship
from everfit.journal.tables import scan_outcomes, scan_predictions
from everfit.store import lake_upkeep
from everfit.store.delta import delete_rows
from everfit.store.journal_records import Route
from everfit.store.lake import tables_under

IDS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
STEPS = st.one_of(
    st.tuples(st.just("predict"), IDS, st.sampled_from(["champion", "shadow"])),
    st.tuples(st.just("report"), IDS),
    st.sampled_from([("read",), ("seal",), ("ship",)]),
)
COLUMNS = ("id", "route", "recorded_at", "segment", "place", "row", "prediction")


@settings(max_examples=20)  # each writes tables
@given(steps=st.lists(STEPS, max_size=18))
def test_it_is_what_tables_and_log_hold(steps: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake_upkeep, "_MOST_SMALL", 3)
        journal, lake = Path(folder) / "journal", Path(folder) / "lake"
        service, history = Service(journal), PredictionHistory(lake, journal, "late", include_unshipped=True)
        for number, (step, *values) in enumerate([("predict", "a", "champion"), *steps, ("read",)]):
            if step == "predict":
                service.predict(values[0], at=number, route=values[1])
            elif step == "report":
                service.report({values[0]: "True"}, at=number)
            elif step == "seal":
                service.stop()
            elif step == "ship":
                service.stop()
                ship(journal, lake)
            else:
                history.catch_up()
                now = hour(number)
                whole = first_predictions(scan_predictions(lake, journal, "late"), now).select(COLUMNS).collect()
                assert sorted(history.as_of(now).select(COLUMNS).rows()) == sorted(whole.rows())
                reports = scan_outcomes(lake, journal, "late").collect()
                assert sorted(history.outcomes.select("id", "recorded_at").rows()) == sorted(
                    reports.select("id", "recorded_at").rows()
                )
        service.stop()


def test_only_what_was_requested_twice_is_looked_through_for_the_first(journal: Path, lake: Path) -> None:
    service, history = Service(journal), PredictionHistory(lake, journal, "late", include_unshipped=True)
    requests: list[tuple[str, Route]] = [("a", "champion"), ("a", "shadow"), ("b", "champion"), ("a", "champion")]
    found = []
    for number, (name, route) in enumerate(requests):
        service.predict(name, at=number, route=route)
        history.catch_up()
        found.append(history.repeats)
        if number == 1:
            service.stop()
            ship(journal, lake)
    assert found == [False, False, False, True]
    assert history.as_of(hour(4)).filter(route="champion")["recorded_at"].to_list() == [hour(0), hour(2)]
    service.stop()


def test_what_was_read_is_not_lost_when_something_else_cannot_be_read(journal: Path, lake: Path) -> None:
    service, history = Service(journal), PredictionHistory(lake, journal, "late", include_unshipped=True)
    service.predict("a", at=0)
    service.report({"a": "true"}, at=1)
    service.stop()
    ship(journal, lake)
    [broken] = (lake / "outcomes" / "late").glob("*.parquet")
    whole = broken.read_bytes()
    broken.write_bytes(b"torn")
    with pytest.raises(StoreError):
        history.catch_up()
    broken.write_bytes(whole)
    history.catch_up()
    assert (history.rows.height, history.outcomes.height) == (1, 1)


def test_rows_that_come_one_by_one_do_not_stay_in_a_thousand_pieces(journal: Path, lake: Path) -> None:
    service, history = Service(journal), PredictionHistory(lake, journal, "late", include_unshipped=True)
    live = LivePredictions(lake, journal, "late", labels="", version=3)
    for number in range(150):
        service.predict(f"order-{number}", at=number)
        service.report({f"order-{number}": "true"}, at=number)
        history.catch_up()
        live.catch_up()
    assert max(frame.n_chunks() for frame in (history.rows, history.outcomes, live.rows, live.outcomes)) <= 65
    assert live.joined(hour(150))["label"].to_list() == ["true"] * 150
    service.stop()


def test_without_a_champion_requests_are_seen_and_no_rows_are_held(journal: Path, lake: Path) -> None:
    service, live = Service(journal), LivePredictions(lake, journal, "late", labels="", version=None)
    service.predict("a", "b", at=0)
    live.catch_up()
    assert (live.moments.height, live.rows.height) == (2, 0)
    assert live.between(hour(0), hour(1), ()).is_empty()
    service.stop()


def test_rows_that_were_deleted_make_what_was_read_void_for_good(
    journal: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_predictions, "_PORTION_ROWS", 1)
    service, live = Service(journal), LivePredictions(lake, journal, "late", labels="", version=3)
    for number in range(4):
        service.predict(f"order-{number}", at=number)
        service.stop()
        ship(journal, lake)
    while live.is_behind:
        live.catch_up()
    assert not live.is_void
    [table] = [folder for _, table in tables_under(lake, "predictions") for folder in [table.folder]]
    delete_rows(table, "recorded_at", hour(1))
    for _ in range(3):
        live.catch_up()
        assert live.is_void
