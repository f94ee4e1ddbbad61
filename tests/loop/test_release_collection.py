"""Collection of releases with real folders, git, uv and processes; and releases that are made again."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pytest
from tests.acceptance.shop import everfit
from tests.loop.town import TRAINED, definitions, found, town
from tests.releases.local_index import LocalIndex
from tests.releases.origin import Origin, make_origin

from everfit.commands.releases import ask_release
from everfit.core.event_log import event_fields
from everfit.core.release import Release
from everfit.loop.release_collection import collect_releases
from everfit.loop.release_job import carry_out
from everfit.loop.release_restoration import restore
from everfit.runtime.launcher import RELEASE_VARIABLE
from everfit.store.active_release import read_release
from everfit.store.release_lock import all_kept
from everfit.system import System
from everfit.wiring import open_without_definitions

SETTINGS = """
[releases]
repository = "../origin.git"
keep = 1
"""
MODULE = definitions("late.retrain_when()")


class Place:
    """A project whose commits are released without a trial of their code."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder = folder
        self.releases = folder / ".everfit" / "releases"
        self.origin = origin
        self._index = LocalIndex(folder.parent / "index")
        self._locks: dict[str, dict[str, bytes]] = {}

    @cached_property
    def system(self) -> System:
        return open_without_definitions(self.folder)

    def push(self, text: str, *, library: str = "") -> str:
        """Commit the project's files, of which one has a text, with a version of ``tinylib`` in the lock."""
        settings = self.folder.joinpath("everfit.toml").read_bytes()
        files = {"everfit.toml": settings, "town.py": MODULE.encode(), "text.py": f"TEXT = {text!r}".encode()}
        return self.origin.commit(files | self._locked(library), message=f"{text}\n")

    def _locked(self, library: str) -> dict[str, bytes]:
        if library and library not in self._locks:
            folder = self.folder.parent / f"locked-{library}"
            self._index.lock(folder, [f"tinylib=={library}"])
            self._locks[library] = {name: (folder / name).read_bytes() for name in ("pyproject.toml", "uv.lock")}
        return self._locks.get(library, {})

    def release(self, text: str, *, library: str = "") -> Release:
        """Push, and make the commit the active release."""
        self.push(text, library=library)
        system = self.system
        number = ask_release(system, "", actor="ada", reason="", again=False).number
        carry_out(system, number, lambda name, part: name in {"trial", "features"} or part())
        released = system.releases.one(number)
        assert released.state == "active", released
        return released

    def collect(self) -> list[int]:
        """Collect; return the releases that are collected now."""
        assert collect_releases(self.system)
        return [release.number for release in self.system.releases.all() if release.collected_at]

    @property
    def trees(self) -> set[str]:
        return {path.name for path in (self.releases / "trees").iterdir()}

    @property
    def environments(self) -> set[str]:
        return {path.name for path in (self.releases / "environments").iterdir() if path.is_dir()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    folder = tmp_path / "town"
    folder.mkdir()
    folder.joinpath("everfit.toml").write_text(f'[project]\nname = "town"\nmodule = "town"\n{SETTINGS}')
    return Place(folder, make_origin(tmp_path / "origin.git"))


@contextmanager
def process_in(place: Place, number: int) -> Iterator[subprocess.Popen[str]]:
    """A process that has loaded the project in a release, and has yet to import something of it."""
    lines = "import sys, everfit; everfit.load_project(sys.argv[1]); print('ready', flush=True); input(); "
    lines += "import text; print(text.TEXT)"
    process = subprocess.Popen(
        [sys.executable, "-c", lines, str(place.folder)],
        env={**os.environ, RELEASE_VARIABLE: str(number)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_nothing_needs_is_deleted_and_the_rest_stays(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    first = place.release("one", library="1.0")
    second = place.release("two", library="2.0")
    third = place.release("three", library="1.0")
    assert third.environment == first.environment != second.environment
    assert place.collect() == []
    fourth = place.release("four")
    caplog.set_level(logging.INFO)
    # The fourth is active, the third the one before it, and of the others the newest one stays.
    assert place.collect() == [1]
    assert place.trees == {second.commit, third.commit, fourth.commit}
    assert place.environments == {Path(third.environment).name, Path(second.environment).name}
    assert read_release(place.folder / ".everfit", 1) is None
    (fields,) = [fields for record in caplog.records if (fields := event_fields(record))]
    assert fields == {"event": "release_collected", "release": 1, "commit": first.commit, "actor": "ada"}
    shown = everfit(place.folder, "releases", "show", "1").out
    assert "retired, collected" in shown
    assert "nothing needs its code and environment" in shown
    place.release("five")
    assert place.collect() == [1, 2]
    assert place.environments == {Path(third.environment).name}
    assert not list(place.releases.rglob("*.old"))


def test_what_builds_and_collections_left_half_done_is_deleted(place: Place) -> None:
    release = place.release("one", library="1.0")
    ended = place.releases / "1"
    left = [
        place.releases / "trees" / f"{'a' * 40}.new",
        place.releases / "trees" / f"{'b' * 40}.old",
        place.releases / "environments" / "c" / "bin",
        place.releases / "environments" / "d.old" / "lib",
        ended / "environment-1" / "cache",
        ended / "trial-1" / "scratch" / "tmp",
    ]
    for folder in left:
        folder.mkdir(parents=True)
        folder.joinpath("file").write_text("x")
        folder.joinpath("file").chmod(0o444)
        folder.chmod(0o555)
    log = ended / "trial-1" / "check.log"
    log.write_text("checked")
    assert place.collect() == []
    assert not [folder for folder in left if folder.exists()]
    assert place.trees == {release.commit}
    assert place.environments == {Path(release.environment).name}
    assert log.read_text() == "checked"
    assert (ended / "tree-1.log").is_file()


def test_a_release_stays_while_a_process_runs_in_it(place: Place) -> None:
    first = place.release("one", library="1.0")
    with process_in(place, 1) as process:
        for text in ("two", "three", "four"):
            place.release(text)
        assert place.collect() == []
        assert first.commit in place.trees
        assert place.environments == {Path(first.environment).name}
        out, _ = process.communicate("\n", timeout=60)
        assert out == "one\n"
    assert place.collect() == [1]
    assert place.environments == set()


def test_nothing_is_collected_while_a_release_is_made(place: Place) -> None:
    """A build runs in another thread; a collection is tried again and again beside it."""
    for text in ("one", "two", "three", "four"):
        place.release(text)
    place.push("five", library="1.0")
    system = place.system
    number = ask_release(system, "", actor="ada", reason="", again=False).number
    build = threading.Thread(
        target=carry_out, args=(system, number, lambda name, part: name in {"trial", "features"} or part())
    )
    build.start()
    answers = []
    while build.is_alive():
        answers.append(collect_releases(place.system))
        time.sleep(0.02)
    build.join()
    assert False in answers
    fifth = system.releases.one(number)
    assert fifth.state == "active", fifth
    assert place.collect() == [1, 2]
    assert fifth.commit in place.trees
    assert place.environments == {Path(fifth.environment).name}


def test_taking_a_release_into_use_waits_for_nothing_and_is_waited_for(place: Place) -> None:
    for text in ("one", "two", "three", "four"):
        place.release(text)
    with all_kept(place.system.state), all_kept(place.system.state):
        assert not collect_releases(place.system)
        assert not [release for release in place.system.releases.all() if release.collected_at]
    assert place.collect() == [1]


KILLED = """
import os, signal, sys
from pathlib import Path
from everfit.loop import release_collection
from everfit.wiring import open_without_definitions

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(release_collection, sys.argv[2], die)
release_collection.collect_releases(open_without_definitions(Path(sys.argv[1])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["delete_release", "set_aside", "delete_working_folders", "delete_folder"])
def test_a_collection_may_be_killed(place: Place, moment: str) -> None:
    place.release("one")
    kept = [place.release(text).commit for text in ("two", "three", "four")][-2:]
    command = [sys.executable, "-c", KILLED, str(place.folder), moment]
    assert subprocess.run(command, check=False).returncode == -9
    assert place.collect() == [1]
    assert set(kept) <= place.trees
    assert not [name for name in place.trees if name.endswith(".old")]


@pytest.mark.slow
def test_a_version_of_a_collected_release_is_promoted_in_its_own_environment(place: Place) -> None:
    """Version 2 is trained in release 1, whose environment nothing else has; it comes back without the repository."""
    shutil.rmtree(place.folder)
    found(place.folder)
    settings = place.folder / "everfit.toml"
    settings.write_text(settings.read_text() + SETTINGS)
    first = place.release("one", library="1.0")
    trained = everfit(place.folder, "train", "--as-of", TRAINED.isoformat())
    assert "ersion 2" in trained.out, trained.err + trained.out
    for text in ("two", "three", "four"):
        place.release(text)
    assert place.collect() == [1]
    assert place.environments == set()

    gone = place.origin.folder.rename(place.origin.folder.with_name("elsewhere.git"))
    mirror = (place.releases / "mirror.git").rename(place.releases / "elsewhere.git")
    refused = everfit(place.folder, "promote", "late", "2")
    assert refused.code == 1
    assert f"the code of release 1 ({first.commit[:7]}: one) was deleted, and must be made again" in refused.err
    assert f"Push commit {first.commit} to the repository" in refused.err
    present = place.system.deployment.of("late")
    assert present is not None
    assert present.champion.version == 1

    mirror.rename(place.releases / "mirror.git")
    promoted = everfit(place.folder, "promote", "late", "2")
    assert promoted.code == 0, promoted.err + promoted.out
    present = place.system.deployment.of("late")
    assert present is not None
    assert (present.champion.version, present.champion.environment) == (2, first.environment)
    again = place.system.releases.one(1)
    assert (again.state, again.collected_at) == ("retired", None)
    assert first.commit in place.trees
    assert place.environments == {Path(first.environment).name}
    gone.rename(place.origin.folder)
    for text in ("five", "six", "seven"):
        place.release(text)
    with town(place.folder, "late.retrain_when()") as living:
        living.loop.round()
    collected = {release.number for release in place.system.releases.all() if release.collected_at}
    assert collected == {2, 3, 4}, "the first round collects; version 2 is the champion"
    assert everfit(place.folder, "rollback").code == 0
    assert 1 not in place.collect(), "a rollback leads to version 2"


def test_a_release_that_becomes_active_again_is_made_again(place: Place) -> None:
    first = place.release("one")
    for text in ("two", "three", "four"):
        place.release(text)
    assert place.collect() == [1]
    restore(place.system, place.system.releases.one(1))
    document = read_release(place.folder / ".everfit", 1)
    assert document is not None
    assert document.tree == first.tree
    assert place.system.releases.one(1).collected_at is None
    restore(place.system, place.system.releases.one(1))
