"""The design record as a user meets it: `check` names its faults, and its thresholds refuse a candidate."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.shop import AS_OF, everfit, make_project
from tests.design.records import FRONT, design

SLICED = FRONT.replace("slices: []", "slices: [{column: shop, max_gap: 0.4}]")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = make_project(tmp_path / "shop")
    (folder / "design.md").write_text(design(SLICED))
    return folder


def test_a_sound_record_is_checked_and_feeds_the_gates(project: Path) -> None:
    checked = everfit(project, "check", *AS_OF)
    assert checked.code == 0, checked.out
    assert "0 warnings" in checked.out
    trained = everfit(project, "train", *AS_OF)
    assert trained.code == 0, trained.out
    assert "the design record requires at most 0.9" in trained.out
    assert "allowed are 1e+03 ms" in trained.out or "allowed are 1000 ms" in trained.out


def test_a_candidate_that_misses_the_threshold_is_refused(project: Path) -> None:
    (project / "design.md").write_text(design(SLICED.replace("at_most: 0.9", "at_most: 0.01")))
    refused = everfit(project, "train", *AS_OF, "--json")
    assert refused.code == 1
    failed = [verdict for verdict in refused.json["report"]["verdicts"] if verdict["outcome"] == "failed"]
    assert [(verdict["gate"], verdict["threshold"]) for verdict in failed] == [("design_metric", 0.01)]


def test_a_record_that_contradicts_the_code_is_refused_everywhere(project: Path) -> None:
    (project / "design.md").write_text(design(SLICED.replace("metric: log_loss", "metric: brier")))
    checked, trained = everfit(project, "check", *AS_OF), everfit(project, "train", *AS_OF)
    line = design(SLICED).split("\n").index("  model: {metric: log_loss, at_most: 0.9}") + 1
    text = f"design.md:{line}, success.model.metric: the metric must be that of model late, metric='log_loss'"
    assert checked.code == 1
    assert text in checked.out
    assert trained.code == 2
    assert text in trained.err
    assert "everfit check" in trained.err


def test_a_new_project_states_what_it_was_told(tmp_path: Path) -> None:
    made = everfit(
        tmp_path, "init", "bakery", "--owner", "Ada: the baker", "--approver", "Bo", "--contact", "a@b.example"
    )
    assert made.code == 0
    folder = tmp_path / "bakery"
    checked = everfit(folder, "check")
    assert checked.code == 0
    assert checked.out == "✓ 8 checks, 0 errors, 0 warnings.\n"
    assert everfit(folder, "check", EVERFIT_LOOP_LEVEL="full").code == 0


def test_a_new_project_without_a_terminal_is_to_be_filled_in(tmp_path: Path) -> None:
    assert everfit(tmp_path, "init", "bakery").code == 0
    folder = tmp_path / "bakery"
    checked = everfit(folder, "check")
    assert checked.code == 0
    assert "the design record should be filled in, but got owner (line " in checked.out
    refused = everfit(folder, "check", EVERFIT_LOOP_LEVEL="full")
    assert refused.code == 1
    assert "the design record must be filled in" in refused.out
