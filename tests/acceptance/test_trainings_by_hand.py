"""What a person trained is in the list of trainings, whatever came of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit


@pytest.mark.slow
def test_every_training_by_hand_is_in_the_list_with_its_result(own: Path) -> None:
    [first] = everfit(own, "orders", "list", "--json").json
    assert (first["state"], first["version"]) == ("registered", 1)
    # Today the data of January is stale, and the gate says so.
    refused = everfit(own, "train", "--reason", "a second try")
    assert refused.code == 1
    listed = everfit(own, "orders", "list", "--json").json
    assert [line["state"] for line in listed] == ["registered", "refused"]
    assert listed[1]["order"]["reason"] == "a second try"
    assert "stale" in listed[1]["sentence"]
    # A table that is narrow, as in a worker of pytest-xdist, breaks words into lines.
    text = everfit(own, "orders", "list", COLUMNS="160").out
    assert text.split().count("hand") >= 2
    assert {"registered", "refused"} <= set(text.split())
    # Its log has the gates' verdicts; the terminal showed them already, and shows no log line.
    shown = everfit(own, "orders", "show", str(listed[1]["number"]), "--json").json
    assert "gate freshness failed" in shown["log"]
    assert "order_refused" not in refused.err
    assert "stale" not in refused.err


def test_a_training_by_hand_that_fails_is_in_the_list(own: Path) -> None:
    code = own / "shop.py"
    code.write_text(code.read_text().replace("max_iter=40", "max_iter=-1"))
    shutil.rmtree(own / "__pycache__", ignore_errors=True)
    assert everfit(own, "train", "--as-of", "2026-01-21T20:00Z").code == 1
    last = everfit(own, "orders", "list", "--json").json[-1]
    assert last["state"] == "failed"
    assert "max_iter" in last["sentence"]
