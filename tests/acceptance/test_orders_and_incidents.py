"""One training and one incident, with everything that is on record of them, by the real command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit

from everfit.core.finding import Finding
from everfit.core.order import RetrainOrder
from everfit.loop.retrain_job import LOG, order_folder
from everfit.wiring import open_system

NOON = datetime(2026, 1, 20, 12, tzinfo=UTC)


@pytest.fixture
def troubled(own: Path) -> Path:
    """One drop that ended and came again, and an order that it caused and that failed."""
    system = open_system(own)
    drop = Finding(
        kind="performance_drop", model="late", version=1, severity="critical", sentence="It is worse by 0.1.",
        numbers={"worse_by": 0.1},
    )  # fmt: skip
    incidents, orders = system.incidents, system.orders
    for hours, found in ((0, [drop]), (1, []), (26, [drop])):
        incidents.record("late", found, now=NOON + timedelta(hours=hours))
    asked = RetrainOrder(
        model="late", cause="drop#1", reason="It is worse by 0.1.", findings=(drop.key,), actor="policy", incident=1,
        asked_at=NOON + timedelta(minutes=30),
    )  # fmt: skip
    record = orders.ask(asked)
    folder = order_folder(system, record.number)
    folder.mkdir(parents=True)
    (folder / LOG).write_text("fitting\nValueError: [/x] ran out of luck\n")
    orders.finish(record.number, state="failed", sentence="The training failed: out of luck", now=NOON)
    system.ledger.dispose()
    return own


@pytest.mark.slow
def test_orders_show(troubled: Path) -> None:
    by_hand, ordered = everfit(troubled, "orders", "list", "--json").json
    shown = everfit(troubled, "orders", "show", str(by_hand["number"]), "--json").json
    assert shown["record"]["state"] == "registered"
    assert {"beats_baseline", "reload"} <= {each["gate"] for each in shown["report"]["verdicts"]}
    text = everfit(troubled, "orders", "show", str(by_hand["number"])).out
    assert "training by hand for late" in text
    assert all(verdict["sentence"] in text for verdict in shown["report"]["verdicts"])
    text = everfit(troubled, "orders", "show", str(ordered["number"])).out
    for said in ("failed", "drop#1", "1, performance drop", "ValueError: [/x] ran out of luck", "out of luck"):
        assert said in text
    unknown = everfit(troubled, "orders", "show", "99")
    assert (unknown.code, unknown.out) == (1, "")
    assert "everfit orders list" in unknown.err


def test_incidents_list_and_show(troubled: Path) -> None:
    listed = everfit(troubled, "incidents", "list", "--json").json
    assert [(each["number"], each["resolved_at"] is None) for each in listed] == [(1, False), (2, True)]
    assert [each["number"] for each in everfit(troubled, "incidents", "list", "--open", "--json").json] == [2]
    assert "2026-01-20 13:00" in everfit(troubled, "incidents", "list", COLUMNS="200").out
    first = everfit(troubled, "incidents", "show", "1", "--json").json
    assert (first["record"]["number"], first["rollouts"]) == (1, [])
    assert [each["state"] for each in first["orders"]] == ["failed"]
    second = everfit(troubled, "incidents", "show", "2", COLUMNS="200").out
    for said in ("open", "It is worse by 0.1.", "worse_by 0.1", "none was sent", "Earlier incidents"):
        assert said in second
    assert everfit(troubled, "incidents", "show", "3").code == 1
