"""A rollout's steps, carried out out of turn: what it came to last is what stays."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.acceptance.shop import make_project

from everfit.commands.rollouts import promote
from everfit.commands.train import train
from everfit.core.records import ModelVersion
from everfit.core.rollout import Rollout
from everfit.delivery import manual_steps
from everfit.loop.rollout_executor import begin_rollout, execute_transition, sync_deployment
from everfit.runtime.launcher import RELEASE_VARIABLE
from everfit.store.active_release import ReleaseFolder, write_release
from everfit.system import System
from everfit.wiring import open_system

MODEL, WHO = "late", "a person"
NOW = datetime(2026, 1, 21, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> System:
    """A champion, version 1."""
    system = open_system(make_project(tmp_path_factory.mktemp("delivering") / "shop"))
    first = train(system, as_of=NOW, actor=WHO).version
    assert first is not None
    promote(system, MODEL, first.version, actor=WHO, reason="the first")
    return system


@pytest.fixture
def newcomer(system: System, request: pytest.FixtureRequest) -> ModelVersion:
    """Another version: the same package, in another run and under a name of its own."""
    registry, name = system.registry, request.node.name
    first = registry.version(MODEL, 1)
    run_id = registry.start_run(MODEL, tags={})
    return registry.register(MODEL, package=registry.fetch(first), digest=f"sha256:{name}", run_id=run_id, tags={})


def answering(system: System) -> tuple[int, int | None]:
    """Champion and shadow of the deployment record; the registry must say the same of the champion."""
    deployed, champion = system.deployment.of(MODEL), system.registry.champion(MODEL)
    assert deployed is not None
    assert champion is not None
    assert champion.version == deployed.champion.version
    return champion.version, None if deployed.shadow is None else deployed.shadow.version


def begun(system: System, version: ModelVersion) -> Rollout:
    rollout = begin_rollout(system, version, cause="a test", now=NOW, actor=WHO)
    assert rollout is not None
    assert answering(system) == (1, version.version)
    return rollout


def test_an_earlier_step_that_is_recovered_changes_nothing(system: System, newcomer: ModelVersion) -> None:
    begin = begun(system, newcomer)
    promoted = execute_transition(system, begin.number, manual_steps.promote(begin, actor=WHO, reason="now"), now=NOW)
    assert answering(system) == (newcomer.version, 1)
    sync_deployment(system, begin)
    assert answering(system) == (newcomer.version, 1)

    taken_back = manual_steps.roll_back(promoted, actor=WHO, reason="no good")
    execute_transition(system, begin.number, taken_back, now=NOW)
    assert answering(system) == (1, None)
    sync_deployment(system, begin)
    sync_deployment(system, promoted)
    assert answering(system) == (1, None)


def test_a_step_that_is_carried_out_again_is_one_step(system: System, newcomer: ModelVersion) -> None:
    begin = begun(system, newcomer)
    halt = manual_steps.pause(begin, actor=WHO, reason="wait")
    once = execute_transition(system, begin.number, halt, now=NOW)
    assert execute_transition(system, begin.number, halt, now=NOW) == once
    back = manual_steps.roll_back(once, actor=WHO, reason="no good")
    ended = execute_transition(system, begin.number, back, now=NOW)
    assert execute_transition(system, begin.number, back, now=NOW) == ended
    assert [each.action for each in ended.history] == ["begin", halt.action, back.action]
    assert answering(system) == (1, None)


def test_a_version_is_deployed_with_the_environment_of_its_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_project(tmp_path / "shop")
    state, tree = root / ".everfit", "releases/trees/a"
    shutil.copytree(root, state / tree, ignore=shutil.ignore_patterns(".everfit"))
    environment = "releases/environments/k"
    release = ReleaseFolder(number=7, commit="a" * 40, code="sha256:0", tree=tree, environment=environment)
    (state / environment).mkdir(parents=True)
    write_release(state, release)
    monkeypatch.setenv(RELEASE_VARIABLE, "7")
    system = open_system(root)
    version = train(system, as_of=NOW, actor=WHO).version
    assert version is not None
    promote(system, MODEL, version.version, actor=WHO, reason="the first")
    assert deployed_environment(system) == environment
    interpreter = system.deployment.interpreter_of(system.deployment.of(MODEL).champion)  # type: ignore[union-attr]
    assert interpreter == state / environment / "bin" / "python"
    # A release of another system has the same number, and is another commit.
    write_release(state, ReleaseFolder(number=7, commit="b" * 40, code="sha256:0", tree=tree, environment=environment))
    promote(system, MODEL, version.version, actor=WHO, reason="again")
    assert deployed_environment(system) == ""


def deployed_environment(system: System) -> str:
    deployed = system.deployment.of(MODEL)
    assert deployed is not None
    return deployed.champion.environment
