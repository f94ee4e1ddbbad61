"""Outcomes and newer features: taken only if they are right, kept before they are acknowledged, seen at once."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from tests.serving.orders import NOW, ROW, START, Shop, define, make_shop, trees
from tests.serving.process import Service, running
from tests.store.recent_predictions import recent_records

from everfit.features.history import build_frame
from everfit.features.materialize import materialize
from everfit.journal.label_join import latest_outcomes
from everfit.journal.ship import ship
from everfit.journal.tables import scan_outcomes
from everfit.store.journal_records import OUTCOMES, PUSHES, Outcomes, PushedRows
from everfit.store.reader import Reader
from everfit.store.sqlite_online import OnlineStore


@pytest.fixture(scope="module")
def own(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop of this module's own, since what is pushed changes what is answered."""
    ignored = shutil.ignore_patterns("journal", "workers")
    folder = tmp_path_factory.mktemp("told") / "shop"
    return replace(shop, folder=Path(shutil.copytree(shop.folder, folder, ignore=ignored)))


@pytest.fixture(scope="module")
def told(own: Shop) -> Iterator[Service]:
    with running(own.folder) as started:
        yield started


def report(service: Service, body: Any) -> httpx.Response:
    return httpx.post(f"{service.url}/outcomes/late", json=body)


def push(service: Service, *rows: dict[str, Any], view: str = "rating") -> httpx.Response:
    return httpx.post(f"{service.url}/features/{view}", json={"rows": rows})


def known(shop: Shop, as_of: datetime) -> dict[str, str]:
    found = latest_outcomes(scan_outcomes(shop.folder / "lake", shop.journal, shop.schema.model), as_of).collect()
    return dict(found.select("id", "value").iter_rows())


def test_outcomes_one_by_one_and_in_bulk(own: Shop, told: Service) -> None:
    assert report(told, {"id": "one", "value": True}).json() == {"outcomes": 1}
    many = [{"id": f"many-{number}", "value": number % 2, "known_at": "2026-01-08T00:00:00Z"} for number in range(300)]
    assert report(told, {"outcomes": many}).json() == {"outcomes": 300}
    found = known(own, datetime.now(UTC))
    assert found["one"] == "true"
    assert {each: found[each] for each in ("many-0", "many-1")} == {"many-0": "false", "many-1": "true"}


def test_a_correction_and_one_taken_back(own: Shop, told: Service) -> None:
    report(told, {"id": "wrong", "value": True})
    report(told, {"id": "taken back", "value": True})
    before = datetime.now(UTC)
    report(told, {"id": "wrong", "value": False})
    report(told, {"id": "taken back", "value": None})
    found, then = known(own, datetime.now(UTC)), known(own, before)
    assert found["wrong"] == "false"
    assert "taken back" not in found
    assert (then["wrong"], then["taken back"]) == ("true", "true")  # what was known when can still be asked


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"id": "x", "value": "maybe"},
            "outcomes[0].value: must be false or true, of which true is the positive class, or null, but got 'maybe'",
        ),
        ({"outcomes": [{"id": "x", "value": 1}, {"id": "y", "value": 7}]}, "outcomes[1].value"),
        ({"id": "x"}, "one object with id and value"),
        ({"id": "", "value": 1}, "length >= 1"),
        ({"id": "x", "value": 1, "known_at": "2026-01-08T00:00:00"}, "timezone"),
        ({"id": "x", "value": 1, "when": 3}, "when"),
        ({"outcomes": []}, "length >= 1"),
        ([1], "object"),
    ],
)
def test_a_wrong_outcome_is_named_and_none_of_its_report_kept(told: Service, own: Shop, body: Any, said: str) -> None:
    answer = report(told, body)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]
    assert not {"x", "y", ""} & set(known(own, datetime.now(UTC)))


def test_numbers_are_outcomes_of_a_regression(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", trees("regression"), "regression")
    with running(shop.folder) as service:
        assert report(service, {"id": "a", "value": 2.5}).status_code == 200
        assert report(service, {"id": "b", "value": True}).status_code == 422
    assert known(shop, datetime.now(UTC)) == {"a": "2.5"}


def test_of_no_model_too_many_and_by_the_wrong_method(told: Service) -> None:
    assert httpx.post(f"{told.url}/outcomes/latte", json={"id": "x", "value": 1}).status_code == 404
    assert report(told, {"outcomes": [{"id": f"{n}", "value": 1} for n in range(501)]}).status_code == 413
    assert httpx.get(f"{told.url}/outcomes/late").status_code == 405
    assert httpx.get(f"{told.url}/features/rating").status_code == 405


def test_pushed_features_are_used_at_once_and_kept(own: Shop, told: Service) -> None:
    asked = {"inputs": ROW | {"shop": "shop-pushed"}}
    before = httpx.post(f"{told.url}/predict/late", json=asked).json()
    assert "rating" in before["missing"]
    row = {"shop": "shop-pushed", "event_time": "2026-01-05T10:00:00Z", "created": "2026-01-05T11:00:00Z"}
    taken = push(told, row | {"stars": 2.0, "chain": "chain-1"})
    assert (taken.status_code, taken.json()) == (200, {"rows": 1, "written": 1})
    after = httpx.post(f"{told.url}/predict/late", json=asked).json()
    assert "rating" not in after["missing"]
    # An older row is kept for history, and does not replace the newer one.
    older = row | {"event_time": "2026-01-04T10:00:00Z", "created": "2026-01-04T11:00:00Z"}
    assert push(told, older | {"stars": 0.0, "chain": None}).json() == {"rows": 1, "written": 0}
    assert httpx.post(f"{told.url}/predict/late", json=asked).json()["predictions"] == after["predictions"]
    kept = [each for _, each in recent_records(own.journal / PUSHES, PushedRows)]
    assert [each.features["stars"] for each in kept[-2:]] == [[2.0], [0.0]]
    # Before it was known, it is as if it were not there.
    early = httpx.post(
        f"{told.url}/predict/late",
        json={"inputs": ROW | {"shop": "shop-pushed", "ordered_at": "2026-01-05T10:30:00Z"}},
    )
    assert "rating" in early.json()["missing"]


def test_pushed_features_are_history(shop: Shop, tmp_path: Path) -> None:
    own = replace(shop, folder=Path(shutil.copytree(shop.folder, tmp_path / "shop")))
    asked = datetime(2026, 1, 5, 12, tzinfo=UTC)
    stamps = {"event_time": "2026-01-05T11:00:00Z", "created": asked.isoformat()}
    with running(own.folder) as service:
        assert push(service, {"shop": "shop-8", "stars": 9.5, "chain": "chain-1"} | stamps).status_code == 200
        service.stop()
    lake = own.folder / "lake"

    def history() -> pl.DataFrame:
        reader = Reader(own.folder, {}, pushes=(lake, own.journal))
        frame = build_frame(define(), reader, as_of=NOW).data
        return frame.filter(pl.col("shop") == "shop-8").sort("ordered_at")

    frame = history()
    within = pl.col("ordered_at").is_between(asked, asked + timedelta(days=5) - timedelta(hours=1))
    assert set(frame.filter(within)["rating.stars"]) == {9.5}
    assert 9.5 not in set(frame.filter(~within)["rating.stars"])
    # The same once it lies in the lake; and whoever fills an online store anew has it too.
    assert ship(own.journal, lake).rows > 0
    assert history().equals(frame)
    fresh = OnlineStore(own.folder / "fresh.db")
    materialize(define().views, Reader(own.folder, {}, pushes=(lake, own.journal)), fresh, until=NOW)
    at_us = int(NOW.timestamp() * 1e6)
    found = fresh.get_one("rating", ("shop-8",), at_us=at_us, ttl_us=10 * 86_400 * 10**6, features=("stars",))
    assert found == [9.5]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"shop": "s", "event_time": "2026-01-05T10:00:00", "stars": 1.0, "chain": "c"}, "timezone"),
        ({"shop": "s", "event_time": "2026-01-05T10:00:00Z", "stars": 1.0}, "chain"),
        ({"shop": "s", "event_time": "2026-01-05T10:00:00Z", "stars": "many", "chain": "c"}, "stars"),
        ({"shop": 3, "event_time": "2026-01-05T10:00:00Z", "stars": 1.0, "chain": "c"}, "shop"),
        ({"shop": "s", "event_time": "2026-01-05T10:00:00Z", "stars": 1.0, "chain": "c", "more": 1}, "more"),
    ],
)
def test_a_wrong_row_is_named(told: Service, row: dict[str, Any], said: str) -> None:
    answer = push(told, row)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


def test_a_view_that_nobody_looks_up(told: Service) -> None:
    answer = push(told, {"a": 1}, view="ratings")
    assert answer.status_code == 404
    assert "demand, rating" in answer.json()["error"]["message"]


def test_what_was_acknowledged_survives_a_kill(own: Shop) -> None:
    with running(own.folder) as service:
        for number in range(20):
            assert report(service, {"id": f"kept-{number}", "value": True}).status_code == 200
            stamp = (START + timedelta(hours=number)).isoformat()
            row = {"shop": f"kept-{number}", "event_time": stamp, "created": stamp, "stars": 1.0, "chain": "c"}
            assert push(service, row).status_code == 200
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
    reported = {each.id for _, found in recent_records(own.journal / OUTCOMES, Outcomes) for each in found.outcomes}
    pushed = {key for _, found in recent_records(own.journal / PUSHES, PushedRows) for key in found.keys["shop"]}
    names = {f"kept-{number}" for number in range(20)}
    assert names <= reported
    assert names <= pushed
    online = own.online()
    at_us = int(NOW.timestamp() * 1e6)
    assert all(online.get_one("rating", (name,), at_us=at_us, ttl_us=30 * 86_400 * 10**6) for name in names)
