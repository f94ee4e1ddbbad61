"""``everfit.Client`` against the real service."""

from __future__ import annotations

import runpy
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.architecture.test_surface import HEAVY, loaded_by
from tests.serving.late_order import ROW as DELIVERY
from tests.serving.late_order import make_late_order
from tests.serving.orders import ROW, Shop, make_shop, request_of, trees
from tests.serving.process import MAX_ROWS, Service, running
from tests.serving.test_feedback import known

import everfit as ef
from everfit.core.errors import (
    InvalidRequestError,
    RequestTooLargeError,
    TimestampError,
    UnknownModelError,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_one_row_and_many(service: Service, shop: Shop) -> None:
    rows = [request_of(row, shop.schema) for row in shop.frame.head(40).to_dicts()]
    with ef.Client(service.url) as client:
        one = client.predict("late", rows[5], id="mine")
        many = client.predict("late", rows, ids=[f"row-{number}" for number in range(40)])
        unnamed = client.predict("late", rows[:3])
    assert (one.id, one.version) == ("mine", 3)
    assert one.value == pytest.approx(shop.native[5])
    assert [each.id for each in many] == [f"row-{number}" for number in range(40)]
    assert [each.value for each in many] == pytest.approx(list(shop.native[:40]))
    assert len({each.id for each in unnamed}) == 3


def test_each_row_knows_which_views_it_lacked(service: Service) -> None:
    with ef.Client(service.url) as client:
        full, lacking = client.predict("late", [ROW, ROW | {"shop": "nobody", "kind": 99}])
    assert full.missing == ()
    assert set(lacking.missing) == {"demand", "rating"}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"ordered_at": NOON}, {}),
        ({"ordered_at": NOON.astimezone(timezone(timedelta(hours=5)))}, {}),
        ({"wanted_on": date(2026, 1, 6)}, {}),
        ({"weight kg": np.float32(1.5), "kind": np.int64(3), "express": np.bool_(True)}, {}),
        ({"weight kg": Decimal("1.5")}, {}),
        ({"weight kg": float("nan")}, {"weight kg": None}),
        ({"weight kg": np.float64("nan")}, {"weight kg": None}),
    ],
)
def test_values_as_python_has_them(service: Service, given: dict[str, Any], meant: dict[str, Any]) -> None:
    expected = httpx.post(f"{service.url}/predict/late", json={"inputs": ROW | meant}).json()["predictions"]
    with ef.Client(service.url) as client:
        assert [client.predict("late", ROW | given).value] == expected


def test_an_instant_without_a_zone_is_refused_with_the_remedy(service: Service) -> None:
    with ef.Client(service.url) as client, pytest.raises(TimestampError) as wrong:
        client.predict("late", [ROW, ROW | {"ordered_at": datetime(2026, 1, 5, 12)}])  # noqa: DTZ001 - that is the point
    assert wrong.value.place == "inputs[1].ordered_at"
    assert "replace(tzinfo=UTC)" in wrong.value.remedy


@pytest.mark.parametrize("value", [float("inf"), np.float32("-inf"), Decimal("Infinity"), {1, 2}, object(), "\ud800"])
def test_what_json_cannot_say_is_refused(service: Service, value: object) -> None:
    with ef.Client(service.url) as client, pytest.raises(InvalidRequestError):
        client.predict("late", ROW | {"weight kg": value})


@pytest.mark.parametrize(
    ("row", "place", "rule", "value"),
    [
        (ROW | {"weight kg": "heavy"}, "inputs.weight kg", "must be a finite number or null", "heavy"),
        (ROW | {"colour": 1}, "inputs.colour", "must not be given: the request fields are", 1),
        ({"shop": "shop-7"}, "inputs.kind", "must be given: an integer", None),
        ([ROW, ROW | {"kind": 3.5}], "inputs[1].kind", "must be an integer of 64 bits or null", 3.5),
    ],
)
def test_a_refusal_is_the_error_that_it_was(service: Service, row: Any, place: str, rule: str, value: object) -> None:
    said = httpx.post(f"{service.url}/predict/late", json={"inputs": row}).json()["error"]["message"]
    with ef.Client(service.url) as client, pytest.raises(InvalidRequestError) as wrong:
        client.predict("late", row)
    assert (wrong.value.place, wrong.value.value) == (place, value)
    assert wrong.value.rule.startswith(rule)
    assert str(wrong.value) == said


def test_a_remedy_comes_back_too(service: Service) -> None:
    with ef.Client(service.url) as client:
        with pytest.raises(UnknownModelError) as unknown:
            client.predict("latte/x", ROW)
        with pytest.raises(UnknownModelError):
            client.model("latte")
        with pytest.raises(RequestTooLargeError) as many:
            client.predict("late", [dict.fromkeys(ROW)] * (MAX_ROWS + 1))
        with pytest.raises(RequestTooLargeError, match="at most"):
            client.predict("late", [ROW | {"shop": "x" * 1000}] * 100)
    assert (unknown.value.remedy, "latte/x" in str(unknown.value)) == ("Served are: late.", True)
    assert (many.value.remedy, many.value.value) == ("Send them in several requests.", MAX_ROWS + 1)


def test_what_is_served(service: Service, shop: Shop) -> None:
    with ef.Client(f"{service.url}/") as client:
        assert client.live()
        assert client.ready()
        assert client.models() == {"late": 3}
        model = client.model("late")
    assert [(each.name, each.type) for each in model.request] == [(f.name, f.type) for f in shop.schema.request]
    assert (model.version, model.task, model.event_time, model.classes) == (3, "binary", "ordered_at", (False, True))


def test_threads_share_a_client(service: Service, shop: Shop) -> None:
    rows = [request_of(row, shop.schema) for row in shop.frame.head(200).to_dicts()]
    with ef.Client(service.url) as client, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: client.predict("late", row).value, rows))
    assert found == pytest.approx(list(shop.native[:200]))


def test_outcomes_and_their_corrections(own: Shop) -> None:
    with running(own.folder) as service, ef.Client(service.url) as client:
        client.report("late", "one", True)
        assert (
            client.outcomes("late", [{"id": f"many-{n}", "value": n % 2, "known_at": NOON} for n in range(300)]) == 300
        )
        client.report("late", "many-1", None)
        client.report("late", "many-2", True, known_at=NOON + timedelta(hours=1))
        with pytest.raises(InvalidRequestError) as wrong:
            client.outcomes("late", [{"id": "a", "value": 1}, {"id": "b", "value": "maybe"}])
        assert wrong.value.place == "outcomes[1].value"
        # A missing label must not be taken for the wish to take one back.
        with pytest.raises(InvalidRequestError, match="None to take the outcome back"):
            client.report("late", "one", float("nan"))
        with pytest.raises(TimestampError):
            client.report("late", "one", True, known_at=NOON.replace(tzinfo=None))
    found = known(own, datetime.now(UTC))
    assert (found["one"], found["many-0"], found["many-2"]) == ("true", "false", "true")
    assert not {"many-1", "a", "b"} & set(found)


def test_classes_by_their_names(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop", trees("multiclass"), "multiclass")
    with running(shop.folder) as service, ef.Client(service.url) as client:
        value = client.predict("late", ROW).value
        assert client.model("late").classes == (0, 1, 2)
    assert isinstance(value, dict)
    assert set(value) == {"0", "1", "2"}
    assert sum(value.values()) == pytest.approx(1)


def test_the_snippets(tmp_path: Path, repository: Path) -> None:
    page = runpy.run_path(str(repository / "docs" / "snippets" / "ask_with_client.py"))
    deployed = make_late_order(tmp_path / "project")
    with running(deployed.folder) as service:
        expected = httpx.post(f"{service.url}/predict/late_order", json={"inputs": DELIVERY}).json()["predictions"]
        assert page["ask"](service.url)[:2] == expected * 2
        found = known(deployed, datetime.now(UTC))
        assert page["push"](service.url) == 1
        assert len(page["ask_with_a_frame"](service.url)) == 2
    assert found.pop("delivery-17") == "true"
    assert list(found.values()) == ["false"] * 2


def test_the_client_loads_nothing_heavy() -> None:
    assert loaded_by("import everfit; everfit.Client()", among=HEAVY | {"asyncio", "typer", "rich"}) == set()
