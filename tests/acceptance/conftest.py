from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.acceptance.shop import AS_OF, everfit, make_project


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion and filled features; copy it before you change it."""
    folder = make_project(tmp_path_factory.mktemp("trained") / "shop")
    for words in (("train", *AS_OF), ("promote",), ("features", "materialize")):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer.err + answer.out
    return folder


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained project that a test may spoil."""
    return Path(shutil.copytree(trained, tmp_path / "shop"))
