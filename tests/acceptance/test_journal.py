"""From an answer, through the log and the lake, back to the code and data that it came from: with the real command."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.shop import everfit
from tests.acceptance.test_walk import ROW, post, service


def test_an_answer_leads_back_to_where_it_came_from(own: Path) -> None:
    with service(own) as url:
        post(f"{url}/predict/late", {"inputs": ROW, "id": "journey-1"})
        assert post(f"{url}/outcomes/late", {"id": "journey-1", "value": True})[0] == 200
        unshipped = everfit(own, "explain", "journey-1", "--json").json["answers"][0]
    assert everfit(own, "journal", "ship").code == 0
    status = everfit(own, "journal", "status", "--json").json
    assert [each["unshipped_rows"] for each in status["logs"]] == [0, 0, 0, 0, 0]
    assert {each["log"] for each in status["lake"]} >= {"predictions", "outcomes"}
    found = everfit(own, "explain", "journey-1", "--json").json["answers"][0]
    assert found == unshipped
    assert found["answer"]["request"]["shop"] == ROW["shop"]
    assert found["answer"]["outcomes"][0]["value"] == "true"
    version = next(
        each for each in everfit(own, "models", "--json").json if each["version"] == found["answer"]["version"]
    )
    assert found["origin"]["run_id"] == version["run_id"]
    assert found["origin"]["sources"][0]["version"].startswith("sha256:")
    assert [each["alias"] for each in found["origin"]["changes"]][:2] == ["challenger", "champion"]
    text = everfit(own, "explain", "journey-1").out
    assert "hold-out     log_loss" in text
    assert "gates        passed   data_schema: " in text
    assert {verdict["outcome"] for verdict in found["origin"]["verdicts"]} <= {"passed", "skipped"}
    assert version["run_id"] in text
    assert "shop_record.late" in text
    missing = everfit(own, "explain", "nothing-like-it")
    assert (missing.code, "must be recorded" in missing.err) == (1, True)
