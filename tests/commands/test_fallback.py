"""The fallback of a design record is served by a real service, and a constant one becomes a version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.design.records import FRONT, design
from tests.loop.town import MODEL, TRAINED, found

from everfit.artifact.package import open_package
from everfit.commands.fallback import FALLBACK_TAG, check_fallback
from everfit.commands.rollouts import promote
from everfit.core.clock import FixedClock
from everfit.core.errors import DefinitionError, PackageError, UnknownVersionError
from everfit.system import System
from everfit.wiring import open_system


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("town") / "town")


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first, tmp_path / "town"))


def opened(folder: Path, plan: str) -> System:
    """The project with a fallback in its record."""
    front = FRONT.replace("source: orders", "source: rides").replace("{version: previous}", plan)
    (folder / "design.md").write_text(design(front))
    return open_system(folder, clock=FixedClock(TRAINED))


def test_a_constant_becomes_a_version_that_can_be_promoted(folder: Path) -> None:
    system = opened(folder, "{prediction: 0.25}")
    before = sorted(path.name for path in system.journal.rglob("*"))
    tested = check_fallback(system, None, actor="a person")
    assert (tested.passed, tested.tested, tested.made, tested.version, tested.rows) == (True, True, True, 2, 20)
    version = system.registry.version(MODEL, 2)
    assert version.tags[FALLBACK_TAG] == "0.25"
    assert not version.aliases
    package = open_package(system.registry.fetch(version), trust=system.trust)
    assert (
        package.schema
        == open_package(system.registry.fetch(system.registry.version(MODEL, 1)), trust=system.trust).schema
    )
    assert package.manifest.lineage.params == {"fallback": 0.25}
    assert sorted(path.name for path in system.journal.rglob("*")) == before
    # The same constant is the same version; it can be engaged, and is then the champion.
    promote(system, MODEL, 2, actor="a person", reason="it was stopped")
    again = check_fallback(system, MODEL, actor="a person")
    assert (again.passed, again.made, again.version) == (True, False, 2)
    assert len(system.registry.versions(MODEL)) == 2
    back = check_fallback(opened(folder, "{version: previous}"), MODEL, actor="a person")
    assert (back.passed, back.version) == (True, 1)


def test_a_version_that_cannot_be_loaded_is_no_fallback(folder: Path) -> None:
    system = opened(folder, "{version: 1}")
    assert check_fallback(system, MODEL, actor="a person").passed
    package = system.registry.fetch(system.registry.version(MODEL, 1))
    file = next(path for path in package.joinpath("model").rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(PackageError):
        check_fallback(system, MODEL, actor="a person")


def test_a_version_that_does_not_exist_is_no_fallback(folder: Path) -> None:
    with pytest.raises(UnknownVersionError):
        check_fallback(opened(folder, "{version: 7}"), MODEL, actor="a person")
    with pytest.raises(UnknownVersionError):
        check_fallback(opened(folder, "{version: previous}"), MODEL, actor="a person")


def test_a_version_that_fails_on_every_request_is_no_fallback(folder: Path) -> None:
    system = opened(folder, "{version: 1}")
    shutil.rmtree(system.state / "keys" / "trusted")
    (system.state / "keys" / "trusted").mkdir()
    tested = check_fallback(system, MODEL, actor="a person")
    assert not tested.passed
    assert tested.sentence.startswith("Version 1 does not predict: the service must serve the version")


def test_a_rule_is_for_persons(folder: Path) -> None:
    tested = check_fallback(opened(folder, "{rule: Call them.}"), MODEL, actor="a person")
    assert (tested.tested, tested.passed, tested.version) == (False, True, None)
    assert "Call them." in tested.sentence


def test_without_a_record_there_is_nothing_to_test(folder: Path) -> None:
    system = open_system(folder, clock=FixedClock(TRAINED))
    with pytest.raises(DefinitionError, match="everfit design new"):
        check_fallback(system, MODEL, actor="a person")
