"""Seventeen months of bookings through the running system: labels take up to months, and the loop must cope."""

from __future__ import annotations

import os
import re
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit
from tests.loop.parcels import running
from tests.serving.test_deployment import wait_for

from everfit.core.order import OrderRecord
from everfit.core.rollout import Rollout
from everfit.delivery.audit import Audit, AuditLine
from everfit.delivery.rollouts import Rollouts
from everfit.triggers.orders import Orders
from everfit.wiring import open_system

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(
        "EVERFIT_TEST_REPLAYS" not in os.environ,
        reason="twelve minutes and more: set EVERFIT_TEST_REPLAYS=1",
    ),
]

HOTELS = Path(__file__).parents[2] / "examples" / "hotels"
FIRST, LAST, MODEL = "2015-11-01", "2017-04-01", "cancelled"
LEAST_GAIN = 0.25
HOUR_S = 3600.0


@pytest.fixture
def hotels(tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example, with a champion that knows nothing from after the replay's start."""
    monkeypatch.setenv("EVERFIT_PATHS_DATA", str(data_folder))
    ignored = shutil.ignore_patterns(".everfit", "__pycache__")
    folder = Path(shutil.copytree(HOTELS, tmp_path / "hotels", ignore=ignored))
    for words in (("train", MODEL, "--as-of", f"{FIRST}T00:00:00Z"), ("promote", MODEL)):
        answer = everfit(folder, *words, timeout_s=HOUR_S)
        assert answer.code == 0, answer.err + answer.out
    return folder


def test_it_keeps_up_though_labels_take_months(hotels: Path) -> None:
    span = ("--from", FIRST, "--to", LAST, "--against", "1", "--step", "1d", "--watch-every", "4d")
    with running(hotels, "--replay") as url:
        wait_for((hotels / ".everfit" / "controller.json").exists, seconds=60)
        answer = everfit(hotels, "replay", MODEL, *span, "--url", url, "--json", timeout_s=HOUR_S)
    assert answer.code == 0, answer.err
    report = answer.json
    assert report["finished"]
    assert (report["failed"], report["refused_outcomes"]) == (0, 0)

    system = open_system(hotels)
    orders, rollouts = Orders(system.ledger).of(MODEL), Rollouts(system.ledger).of(MODEL)
    live, never = (report["overall"][side]["log_loss"] for side in ("live", "against"))
    sys.stdout.write(f"\nlog loss {live:.4f}, never retrained {never:.4f}\n")
    for month in report["months"]:
        figures = month["live"]["log_loss"], month["against"]["log_loss"]
        sys.stdout.write("{}  {:.3f}  {:.3f}  versions {}\n".format(month["month"], *figures, month["versions"]))
    for order in orders:
        sys.stdout.write(f"order {order.number} {order.state}: {order.order.reason} -> {order.sentence}\n")
    assert live < never - LEAST_GAIN

    assert any(order.state == "shipped" for order in orders)
    for order in orders:
        assert_tells_its_cause_and_effect(order)
    for rollout in rollouts:
        assert_came_from_an_order(rollout, {order.number: order for order in orders}, Audit(system.ledger).read(MODEL))
        tags = system.registry.version(MODEL, rollout.version).tags
        assert tags["everfit.order"] == str(rollout.order)


def assert_tells_its_cause_and_effect(order: OrderRecord) -> None:
    """Why it was asked, and what became of it, in sentences with numbers."""
    asked = order.order
    assert asked.actor == "policy"
    assert re.search(r"\d", asked.reason), asked
    assert asked.cause.startswith(("every/", f"{MODEL}/performance_drop/"))
    if order.state == "refused":
        assert order.sentence.startswith("The candidate was refused: ")
        assert len(re.findall(r"\d[\d.]*", order.sentence)) >= 2, order.sentence
    if order.ended:
        assert order.sentence
        assert order.state in {"shipped", "refused", "taken_back", "cancelled"}, order


def assert_came_from_an_order(rollout: Rollout, orders: dict[int, OrderRecord], audit: tuple[AuditLine, ...]) -> None:
    """The rollout's every move is in the audit, with the same words."""
    assert rollout.order is not None
    order = orders[rollout.order]
    assert (order.version, order.order.reason) == (rollout.version, rollout.cause)
    assert rollout.began_at - order.order.asked_at < timedelta(days=4)
    told = {(line.action, line.reason) for line in audit if line.version == rollout.version}
    assert {(move.action, move.sentence) for move in rollout.history} <= told
