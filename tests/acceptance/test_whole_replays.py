"""Months of flights and bookings through the running system: it keeps up by itself, and says why it did what it did."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit
from tests.loop.parcels import running

from everfit.core.order import OrderRecord
from everfit.core.rollout import Rollout
from everfit.delivery.audit import AuditLine
from everfit.wiring import open_system

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(
        "EVERFIT_TEST_REPLAYS" not in os.environ,
        reason="a quarter of an hour each, and more: set EVERFIT_TEST_REPLAYS=1",
    ),
]

EXAMPLES = Path(__file__).parents[2] / "examples"
HOUR_S = 3600.0

_PLAIN_TRAINER = """
@late_arrival.trainer()
def train(X, y, seed):
    return HistGradientBoostingClassifier(random_state=seed).fit(X, y)


late_arrival.ship_when("""


@dataclass(frozen=True)
class History:
    """What is replayed, and what the loop must make of it."""

    example: str
    model: str
    first: str
    last: str
    paced: tuple[str, ...]
    """How finely time passes, and how often the controller looks."""
    metric: str
    least_gain: float
    """Of the metric, over the same model never retrained."""
    retrained: range
    """How many orders there must have been."""
    plain: bool = False
    """With the library's default parameters in the place of the example's, and the flight's number besides: of all that
    is known at the asking it is what grows stale soonest."""

    def define(self, folder: Path) -> None:
        """Copy the example."""
        shutil.copytree(EXAMPLES / self.example, folder, ignore=shutil.ignore_patterns(".everfit", "__pycache__"))
        if self.plain:
            code = folder / f"{self.example}.py"
            before, rest = code.read_text().split("@late_arrival.trainer(")
            text = before + _PLAIN_TRAINER.lstrip() + rest.split("late_arrival.ship_when(")[1]
            for place in ('    request=["carrier", ', '    features=[\n        "carrier",\n'):
                assert text.count(place) == 1
                text = text.replace(place, place + '"flight", ')
            code.write_text(text)


HISTORIES = [
    History(
        "flights",
        "late_arrival",
        "2013-03-01",
        "2014-01-01",
        ("--watch-every", "1d"),
        "roc_auc",
        0.025,
        range(3, 16),
        plain=True,
    ),
    History(
        "hotels",
        "cancelled",
        "2015-11-01",
        "2017-04-01",
        ("--step", "1d", "--watch-every", "4d"),
        "log_loss",
        -0.25,
        range(3, 25),
    ),
]


@pytest.mark.parametrize("history", HISTORIES, ids=lambda each: each.example)
def test_the_loop_keeps_up_by_itself(
    history: History, tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERFIT_PATHS_DATA", str(data_folder))
    folder, model = tmp_path / history.example, history.model
    history.define(folder)
    # The first champion knows nothing from after the replay's start.
    for words in (("train", model, "--as-of", f"{history.first}T00:00:00Z"), ("promote", model)):
        answer = everfit(folder, *words, timeout_s=HOUR_S)
        assert answer.code == 0, answer.err + answer.out
    span = ("--from", history.first, "--to", history.last, "--against", "1", *history.paced)
    with running(folder, "--replay") as url:
        answer = everfit(folder, "replay", model, *span, "--url", url, "--json", timeout_s=2 * HOUR_S)
    assert answer.code == 0, answer.err
    report = answer.json
    assert report["finished"]
    assert (report["failed"], report["refused_outcomes"]) == (0, 0)

    system = open_system(folder)
    orders, rollouts = system.orders.of(model), system.rollouts.of(model)
    live, never = (report["overall"][side][history.metric] for side in ("live", "against"))
    sys.stdout.write(f"\n{history.metric} {live:.4f}, never retrained {never:.4f}\n")
    for month in report["months"]:
        figures = month["live"][history.metric], month["against"][history.metric]
        sys.stdout.write("{}  {:.3f}  {:.3f}  versions {}\n".format(month["month"], *figures, month["versions"]))
    for order in orders:
        sys.stdout.write(f"order {order.number} {order.state}: {order.order.reason} -> {order.sentence}\n")
    assert (live - never) * (1 if history.least_gain > 0 else -1) >= abs(history.least_gain)

    assert len(orders) in history.retrained
    for order in orders:
        assert_tells_its_cause_and_effect(order, model)
    for rollout in rollouts:
        assert_came_from_an_order(rollout, {order.number: order for order in orders}, system.audit.read(model))
        version = system.registry.version(model, rollout.version)
        assert version.tags["everfit.order"] == str(rollout.order)
        assert system.registry.passed_gates(version)


def assert_tells_its_cause_and_effect(order: OrderRecord, model: str) -> None:
    """Why it was asked, and what became of it, in sentences with numbers."""
    asked = order.order
    assert asked.actor == "policy"
    assert re.search(r"\d", asked.reason), asked
    assert asked.cause.startswith(("every/", "stale_model/", f"{model}/performance_drop/"))
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
