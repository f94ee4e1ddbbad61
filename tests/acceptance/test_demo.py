"""The demo: nobody tells the loop of the road works, and it gets over them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit

ROAD_WORKS = datetime(2026, 1, 25, 6, tzinfo=UTC)


@pytest.mark.slow
def test_the_loop_closes(tmp_path: Path) -> None:
    answer = everfit(tmp_path, "demo", "--in", str(tmp_path / "kept"), "--json", timeout_s=900)
    assert answer.code == 0, answer.err
    events = answer.json["timeline"]
    when = {what: datetime.fromisoformat(each["at"]) for each in reversed(events) for what in [each["what"]]}
    assert when["truth"] == ROAD_WORKS
    assert ROAD_WORKS < when["order"] <= when["gates"] <= when["rollout"] <= when["champion"] < when["kept"]
    drop = next(each for each in events if each["what"] == "finding" and "has become worse" in each["sentence"])
    assert datetime.fromisoformat(drop["at"]) > ROAD_WORKS
    assert "taken back" not in when
    report = answer.json["replay"]
    assert (report["failed"], report["finished"]) == (0, True)
    for day in (day for day in report["months"] if day["versions"] == [1]):
        assert day["live"] == pytest.approx(day["against"]), "a version is compared with itself"
    recovered = [day for day in report["months"] if 1 not in day["versions"]]
    assert recovered
    rows = sum(day["rows"] for day in recovered)
    live, alone = (sum(day["rows"] * day[side]["log_loss"] for day in recovered) / rows for side in ("live", "against"))
    assert live < alone - 0.01
