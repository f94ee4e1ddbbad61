"""The demo: the loop gets no notice of the road works and recovers from them; of two pushes one is refused."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.acceptance.shop import everfit
from tests.releases.origin import git

from everfit.artifact.package import open_package
from everfit.wiring import open_without_definitions

MODEL = "late_delivery"
ROAD_WORKS = datetime(2026, 1, 25, 6, tzinfo=UTC)
LEAK = "test_the_kitchen_is_known_only_when_its_last_report_has_arrived"


@pytest.mark.slow
def test_the_loop_closes_and_new_code_is_refused_or_delivered(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    answer = everfit(tmp_path, "demo", "--in", str(kept), "--json", timeout_s=1800)
    assert answer.code == 0, answer.err
    events = answer.json["timeline"]
    when = {what: datetime.fromisoformat(each["at"]) for each in reversed(events) for what in [each["what"]]}
    assert when["truth"] == ROAD_WORKS
    # A version that learnt from more days since then may replace the new champion before its watch has ended.
    assert ROAD_WORKS < when["order"] <= when["gates"] <= when["rollout"] <= when["champion"]
    drop = next(each for each in events if each["what"] == "finding" and "has become worse" in each["sentence"])
    assert datetime.fromisoformat(drop["at"]) > ROAD_WORKS
    assert "taken back" not in when
    report = answer.json["replay"]
    assert (report["failed"], report["finished"]) == (0, True)
    for day in (day for day in report["months"] if day["versions"] == [1]):
        assert day["live"] == pytest.approx(day["against"]), "a version is compared with itself"
    live, alone = losses(report, replaced=1)
    assert live < alone - 0.01
    second_act(answer.json["pushes"], kept / "deliveries")
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(kept) in " ".join(one.info["cmdline"] or ())]


def losses(report: dict[str, Any], *, replaced: int) -> tuple[float, float]:
    """Return the log loss after the last prediction of a version, and what it would be with this version."""
    days = [day for day in report["months"] if replaced not in day["versions"]]
    rows = sum(day["rows"] for day in days)
    assert rows
    live, alone = (sum(day["rows"] * day[side]["log_loss"] for day in days) / rows for side in ("live", "against"))
    return live, alone


def second_act(pushes: dict[str, Any], root: Path) -> None:
    refused, active = pushes["releases"]
    assert (refused["state"], refused["steps"][-1]["step"]) == ("refused", "tests")
    assert LEAK in refused["sentence"]
    assert {step["step"]: step["outcome"] for step in active["steps"]} == dict.fromkeys(
        ("tree", "environment", "check", "tests", "data", "training", "features", "activate"), "passed"
    )
    assert active["state"] == "active"
    whats = [event["what"] for event in pushes["timeline"]]
    assert whats.index("order") < whats.index("gates") < whats.index("rollout") < whats.index("champion")
    report, system = pushes["replay"], open_without_definitions(root)
    assert (report["failed"], report["finished"]) == (0, True)
    live, alone = losses(report, replaced=report["against"])
    assert live < alone - 0.01
    deployed = system.deployment.of(MODEL)
    assert deployed is not None
    lineage = open_package(system.deployment.folder_of(deployed.champion), trust=system.trust).manifest.lineage
    assert (lineage.release, lineage.code.commit) == (active["number"], active["commit"])
    assert git(root.with_name("deliveries.git"), "rev-parse", "main") == active["commit"], "it was pushed"


@pytest.mark.slow
@pytest.mark.skipif("EVERFIT_TEST_REPLAYS" not in os.environ, reason="minutes: set EVERFIT_TEST_REPLAYS=1")
def test_without_git_there_is_one_act(tmp_path: Path) -> None:
    answer = everfit(tmp_path, "demo", timeout_s=900, PATH=str(Path(sys.executable).parent), TMPDIR=str(tmp_path))
    assert answer.code == 0, answer.err
    assert "needs git, which is not installed" in answer.out
    assert "remote:" not in answer.out
    assert "champion" in answer.out
    assert not list(tmp_path.iterdir()), "the folder is removed"
