"""The level that a project is on, and what it lacks for the next."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.acceptance.shop import make_project

from everfit.core.settings import LoopSettings
from everfit.definitions.project import Project
from everfit.loop.automation_level import level
from everfit.wiring import load_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return load_project(make_project(tmp_path / "shop"))


def test_a_project_with_a_trainer_is_semi_by_default(project: Project) -> None:
    report = level(project)
    assert report.level == "semi"
    missing = [each for each in report.capabilities if not each.present]
    assert {each.level for each in missing} == {"full"}
    assert all(each.sentence.startswith("missing: ") for each in missing)


def test_a_person_may_keep_every_step(project: Project) -> None:
    project = Project(**{**vars(project), "settings": replace(project.settings, loop=LoopSettings(level="manual"))})
    report = level(project)
    assert report.level == "manual"
    [missing] = [each for each in report.capabilities if not each.present and each.level == "semi"]
    assert missing.name == "orchestration"


def test_a_model_that_is_never_retrained_is_not_semi(project: Project) -> None:
    project.model("late").retrain_when()
    report = level(project)
    assert report.level == "manual"
    assert any("a trigger for late" in each.sentence for each in report.capabilities)
