"""Workers are killed under load, and whatever was answered is on record: once in the log, once in the lake."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit
from tests.acceptance.test_walk import ROW, service
from tests.serving.load import load
from tests.serving.test_deployment import wait_for
from tests.store.recent_predictions import recent_predictions

from everfit.journal.tables import scan_predictions
from everfit.serving.worker_report import read_reports
from everfit.store.lake import scan_tables

KILLS = 20


def _kill(state: Path, slot: int, known: set[int]) -> None:
    """End the worker of a slot, once there is one that was not killed before."""

    def is_new() -> bool:
        report = read_reports(state / "workers").get(slot)
        return report is not None and report.pid not in known

    wait_for(is_new, seconds=30)
    pid = read_reports(state / "workers")[slot].pid
    known.add(pid)
    time.sleep(0.25)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_twenty_kills_lose_and_double_nothing(own: Path) -> None:
    state, lake = own / ".everfit", own / ".everfit" / "lake"
    with (own / "everfit.toml").open("a") as file:
        file.write("\n[serving]\nworkers = 2\nseal_seconds = 2\n")
    killed: set[int] = set()
    # The longer workers are killed in a row, the later they are started again: about a minute in all.
    with service(own) as url, load(f"{url}/predict/late", ROW, seconds=60) as told:
        while len(killed) < KILLS:
            if len(killed) == KILLS // 2:
                assert everfit(own, "journal", "ship").code == 0
            _kill(state, len(killed) % 2, killed)
    answered = told[0].answered
    early = scan_tables(lake, "predictions/late", (), base={}).collect()["id"]
    late = [each for _, found in recent_predictions(state / "journal") for each in found.ids]
    recorded = Counter([*early, *late])
    sys.stdout.write(f"{len(answered)} answers, {told[0].dropped} hang-ups, {len(early)} + {len(late)} recorded\n")
    assert told[0].failed == []
    assert told[0].dropped > 0  # they were killed while they were asked
    assert early.len() > 0
    assert {recorded[each] for each in answered} == {1}
    assert set(recorded.values()) == {1}

    # What a power failure leaves: half a record at the end of what a dead worker wrote.
    victim = sorted((state / "journal" / "predictions").glob("*"))[-1]
    torn = victim.rename(victim.with_suffix(".open"))
    with torn.open("ab") as file:
        file.write(b"\xff\x00\x00\x00torn")
    shipped = everfit(own, "journal", "ship", "--json")
    assert shipped.code == 0
    predictions = next(each for each in shipped.json["logs"] if each["log"] == "predictions")
    assert predictions["torn_bytes"] == 8
    assert list((state / "journal" / "predictions").glob("*.sealed")) == []
    assert Counter(scan_predictions(lake, state / "journal", "late").collect()["id"]) == recorded
    assert everfit(own, "journal", "ship", "--json").json["logs"][0]["rows"] == 0
