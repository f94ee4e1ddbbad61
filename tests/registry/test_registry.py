from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everfit.core.clock import FixedClock
from everfit.core.errors import RegistryError, StoreError, UnknownVersionError
from everfit.core.records import GateReport, Verdict
from everfit.registry.history import AliasHistory
from everfit.registry.registry import Registry
from everfit.store.ledger import open_ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def open_registry(state: Path) -> Registry:
    return Registry(
        f"sqlite:///{state}/tracking.db",
        artifacts=state / "artifacts",
        history=AliasHistory(open_ledger(f"sqlite:///{state}/ledger.db")),
        cache=state / "cache",
        clock=FixedClock(NOON),
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for the file, since making MLflow's tables takes seconds; every test uses a model of its own."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def registry(state: Path) -> Registry:
    return open_registry(state)


def package(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text(text)
    return folder


def register(registry: Registry, model: str, folder: Path, number: int) -> int:
    run_id = registry.start_run(model, tags={"everfit.reason": "a test"})
    made = registry.register(
        model,
        package=package(folder / f"{model}-{number}", f"flavors: {{}}\nnumber: {number}\n"),
        digest=f"sha256:{model}{number}",
        run_id=run_id,
        tags={"everfit.data": "sha256:abc"},
    )
    verdict = Verdict(gate="beats_baseline", outcome="passed", sentence="It does.", value=0.1, threshold=0.0)
    registry.end_run(
        run_id,
        status="FINISHED",
        params={"depth": number},
        metrics={"auc": 0.7},
        report=GateReport(model=model, verdicts=(verdict,)),
    )
    return made.version


def test_a_registered_package_comes_back_file_for_file(registry: Registry, tmp_path: Path) -> None:
    register(registry, "whole", tmp_path, 1)
    version = registry.version("whole", 1)
    assert (registry.fetch(version) / "MLmodel").read_text() == "flavors: {}\nnumber: 1\n"
    assert version.tags == {"everfit.data": "sha256:abc"}
    assert registry._client.get_run(version.run_id).data.metrics == {"auc": 0.7}


def test_the_same_package_is_the_same_version(registry: Registry, tmp_path: Path) -> None:
    first = register(registry, "twice", tmp_path / "a", 1)
    again = register(registry, "twice", tmp_path / "b", 1)
    assert first == again
    assert len(registry.versions("twice")) == 1


def test_promotion_moves_the_champion_and_remembers_the_one_before(registry: Registry, tmp_path: Path) -> None:
    for number in (1, 2):
        version = registry.version("late", register(registry, "late", tmp_path, number))
        registry.nominate(version, actor="ada", reason=f"order {number}")
        registry.set_champion("late", "challenger", actor="ada", reason=f"order {number}")
    champion = registry.champion("late")
    assert champion is not None
    assert champion.version == 2
    assert registry.version("late", "previous").version == 1
    with pytest.raises(UnknownVersionError, match="challenger"):
        registry.version("late", "challenger")

    registry.roll_back("late", actor="bob", reason="it was worse")
    assert registry.version("late", "champion").version == 1
    assert registry.version("late", "previous").version == 2
    last = [change for change in registry.history("late") if change.alias == "champion"][-1]
    assert (last.version, last.actor, last.reason, last.changed_at) == (1, "bob", "it was worse", NOON)


def test_promoting_the_champion_again_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    register(registry, "calm", tmp_path, 1)
    registry.set_champion("calm", 1, actor="ada", reason="first")
    before = registry.history("calm")
    registry.set_champion("calm", 1, actor="ada", reason="again")
    assert registry.history("calm") == before


def test_a_rollback_needs_a_champion_before(registry: Registry, tmp_path: Path) -> None:
    register(registry, "lonely", tmp_path, 1)
    registry.set_champion("lonely", 1, actor="ada", reason="first")
    with pytest.raises(RegistryError, match="one before it"):
        registry.roll_back("lonely", actor="ada", reason="nerves")


def test_an_unknown_version_names_the_known_ones(registry: Registry, tmp_path: Path) -> None:
    register(registry, "named", tmp_path, 1)
    registry.set_champion("named", 1, actor="ada", reason="first")
    with pytest.raises(UnknownVersionError, match=r"Known are: 1 \(champion\)"):
        registry.version("named", 7)
    with pytest.raises(UnknownVersionError, match="everfit train"):
        registry.version("never_trained", "champion")


def test_state_that_was_moved_still_finds_its_packages(registry: Registry, state: Path, tmp_path: Path) -> None:
    register(registry, "moved", tmp_path, 1)
    elsewhere = tmp_path / "elsewhere"
    state_copy = elsewhere / "state"

    shutil.copytree(state, state_copy)
    moved = open_registry(state_copy)
    folder = moved.fetch(moved.version("moved", 1))
    assert folder.is_relative_to(state_copy)


def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is no database, whatever its name says" * 50)
    with pytest.raises(StoreError, match="ledger"):
        open_ledger(f"sqlite:///{tmp_path}/ledger.db")


def test_a_run_keeps_the_report_of_its_gates_wherever_the_state_is(
    registry: Registry, state: Path, tmp_path: Path
) -> None:
    version = registry.version("judged", register(registry, "judged", tmp_path, 1))
    report = registry.gate_report("judged", version.run_id)
    assert report is not None
    assert [verdict.gate for verdict in report.verdicts] == ["beats_baseline"]
    shutil.copytree(state, tmp_path / "moved")
    assert open_registry(tmp_path / "moved").gate_report("judged", version.run_id) == report
    assert registry.gate_report("judged", registry.start_run("judged", tags={})) is None
    with pytest.raises(RegistryError, match="could not be read"):
        registry.gate_report("judged", "no-such-run")
