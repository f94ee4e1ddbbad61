from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.triggers.situation import day

from everfit.core.errors import MisuseError, StoreError
from everfit.core.order import OrderState, RetrainOrder
from everfit.store.ledger import ORDERS, open_ledger
from everfit.triggers.orders import Orders


def order(cause: str = "every/2013-03-31", **more: Any) -> RetrainOrder:
    given: dict[str, Any] = {"model": "late", "reason": "30d have passed.", "asked_at": day(30), "actor": "policy"}
    return RetrainOrder(cause=cause, **given | more)


@pytest.fixture
def ledger(tmp_path: Path) -> sa.Engine:
    return open_ledger(f"sqlite:///{tmp_path}/ledger.db")


@pytest.fixture
def orders(ledger: sa.Engine) -> Orders:
    return Orders(ledger)


def test_an_order_goes_its_way(orders: Orders) -> None:
    asked = orders.ask(order(findings=("late/drift//rain",), numbers={"effect": 0.5}, incident=4))
    assert (asked.state, asked.ended, asked.started_at) == ("open", False, None)
    begun = orders.begin(asked.number, now=day(31))
    assert (begun.state, begun.started_at, begun.order) == ("running", day(31), asked.order)
    handed = orders.deliver(asked.number, version=4, run_id="r1")
    assert (handed.state, handed.version, handed.run_id) == ("delivering", 4, "r1")
    done = orders.finish(asked.number, state="shipped", sentence="Better by 0.01.", now=day(32))
    assert (done.state, done.ended_at, done.version, done.run_id) == ("shipped", day(32), 4, "r1")
    assert (done.ended, done.brought_nothing, done.sentence) == (True, False, "Better by 0.01.")
    assert orders.of("late") == (done,)


def test_one_cause_is_one_order(orders: Orders) -> None:
    first = orders.ask(order())
    assert orders.ask(order(reason="Again.", asked_at=day(40))) == first
    orders.finish(first.number, state="refused", sentence="No better.", now=day(31))
    assert orders.ask(order()).state == "refused"
    others = [orders.ask(order(model="early")), orders.ask(order("manual/1"))]
    assert len({first.number, *(each.number for each in others)}) == 3
    assert orders.open() == tuple(others)


def test_many_who_ask_at_once_get_one_order(ledger: sa.Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(lambda _: Orders(ledger).ask(order()).number, range(32)))
    assert len(numbers) == 1
    with ledger.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ORDERS)).scalar() == 1


def test_a_step_done_twice_changes_nothing(orders: Orders) -> None:
    number = orders.ask(order()).number
    begun = orders.begin(number, now=day(31))
    assert orders.begin(number, now=day(35)) == begun
    handed = orders.deliver(number, version=4)
    assert orders.deliver(number, version=5) == handed == orders.begin(number, now=day(36))
    ended = orders.finish(number, state="shipped", sentence="Better.", now=day(37))
    assert orders.finish(number, state="shipped", sentence="Better.", now=day(38)) == ended


@pytest.mark.parametrize("first", ["shipped", "refused", "taken_back", "failed", "cancelled"])
def test_the_first_end_counts_but_what_shipped_may_be_taken_back(orders: Orders, first: OrderState) -> None:
    number = orders.ask(order()).number
    ended = orders.finish(number, state=first, sentence="First.", now=day(31), version=4)
    assert orders.finish(number, state="cancelled", sentence="Then.", now=day(32)) == ended
    assert orders.deliver(number, version=9) == ended
    back = orders.finish(number, state="taken_back", sentence="Worse live.", now=day(33))
    assert (back.state == "taken_back") == (first in {"shipped", "taken_back"})
    assert back.brought_nothing == (first != "cancelled")
    assert back.version == 4


def test_mistakes_are_named(orders: Orders) -> None:
    with pytest.raises(StoreError, match="an order with that number, but got 77"):
        orders.begin(77, now=day(1))
    with pytest.raises(MisuseError, match="a state that ends it, but got 'running'"):
        orders.finish(orders.ask(order()).number, state="running", sentence="", now=day(1))


def test_a_training_by_hand_is_listed_once_and_is_no_order(orders: Orders) -> None:
    asked = orders.ask(order())
    given: dict[str, Any] = {"run_id": "r7", "reason": "a try", "actor": "ada", "started_at": day(31), "now": day(32)}
    kept = orders.keep("late", state="refused", sentence="No better.", **given)
    assert (kept.by_hand, kept.state, kept.run_id, kept.ended, kept.ended_at) == (True, "refused", "r7", True, day(32))
    assert orders.keep("late", state="failed", sentence="Again.", **given) == kept
    assert orders.trainings("late") == (asked, kept)
    assert not asked.by_hand
    # No cool-down, budget, back-off or finding of the loop's counts it, and no controller carries it out.
    assert orders.of("late") == orders.open() == (asked,)
    with pytest.raises(MisuseError, match="ends it"):
        orders.keep("late", state="open", sentence="", **given)
