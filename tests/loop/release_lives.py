"""One life of a release: a commit is pushed to a running system, processes are killed, and all must be whole.

The project is small, and its commits have an environment of their own, tests, and a feature view.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
from tests.acceptance.shop import everfit
from tests.design.records import FRONT, design
from tests.loop import release_points
from tests.loop.calling import Callers, free_port
from tests.loop.parcels import MODEL, history, sent
from tests.releases.local_index import LocalIndex
from tests.releases.origin import Origin, git, make_origin
from tests.tracking import place_tracking

from everfit.artifact.package import open_package
from everfit.artifact.provenance import code_version, release_digest
from everfit.core.release import STEPS, Release, StepName
from everfit.loop.release_activation import folder_of
from everfit.store.active_release import ActiveRelease, python_of, read_active, read_release
from everfit.store.controller_report import read_controller_report
from everfit.store.old_folder import delete_folder
from everfit.system import System
from everfit.wiring import open_without_definitions

_SETTINGS = """
[project]
name = "parcels"
module = "parcels"

[training]
trials = 0
bootstrap = 100

[loop]
level = "full"
watch_seconds = 0.2
materialize_seconds = 0.5

[releases]
repository = "../origin.git"
poll_seconds = 0.2
step_seconds = 60
sample_rows = 500
"""
_MODULE = """
import polars as pl

import everfit as ef

parcels = ef.Source("parcels", path="parcels.parquet", timestamp="sent_at")
kind = ef.Entity("kind", dtype=pl.String)


@ef.feature_view(entities=[kind], source=parcels, timestamp="sent_at", ttl="2d")
def newest(parcels):
    return parcels.select("kind", "sent_at", distance=pl.col("distance_km"))


late = ef.Model(
    "late",
    task="binary",
    events=ef.Events(parcels, id="parcel"),
    request=["kind", "distance_km"],
    features=[newest, "distance_km"],
    label=ef.Label("late", known_at="arrived_at"),
    metric="log_loss",
)


@late.trainer()
def train(X, y, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=20, random_state=seed).fit(X, y)


late.retrain_when()
late.ship_when(ef.MaxLatency(p99_ms=1000))
late.roll_out(ef.Shadow(40), ef.Canary(0.5, 40), watch="2s")
"""
_DESIGN = design(FRONT.replace("source: orders", "source: parcels"))
_TEST = "import tinylib\n\n\ndef test_the_locked_library():\n    assert tinylib.NUMBER == 2\n"
_LONGEST_S = 400.0
"""On a machine that does much else."""
_TEMPORARY = "temporary"


@dataclass(frozen=True)
class Push:
    """A commit, and what must become of it.

    Args:
        changes: Replaced text of files, by file: what stands there, and what takes its place.
        state: State of its release in the end.
        step: The step that refuses it.
        reason: Text of the sentence with which it ends.
        versions: Number of versions of the model in the end.
    """

    changes: dict[str, tuple[str, str]]
    state: str = "active"
    step: StepName = "activate"
    reason: str = ""
    versions: int = 1

    def files(self, whole: dict[str, bytes]) -> dict[str, bytes]:
        changed = dict(whole)
        for name, (before, after) in self.changes.items():
            text = whole[name].decode()
            assert before in text
            changed[name] = text.replace(before, after).encode()
        return changed


PUSHES = {
    "better": Push({"parcels.py": ("max_iter=20", "max_iter=30")}),
    "new features": Push({"parcels.py": ("distance=pl.col", "distance=2 * pl.col")}, versions=2),
    "link": Push(
        {"parcels.py": ("max_iter=20", "max_iter=30")}, "refused", "tree", "must not lead out of the repository"
    ),
    "digest": Push({"uv.lock": ("sha256:", "sha256:00")}, "refused", "environment", "tinylib"),
    "syntax": Push({"parcels.py": ("import polars", "def broken(:\nimport polars")}, "refused", "check", "invalid"),
    "test": Push({"tests/test_parcels.py": ("== 2", "== 3")}, "refused", "tests", "test_the_locked_library"),
    "leak": Push(
        {"parcels.py": ('distance=pl.col("distance_km")', 'distance=pl.col("late").cast(float)')},
        "refused",
        "data",
        "",
    ),
    "trainer": Push(
        {"parcels.py": ("return Hist", "raise ValueError('bad')\n    return Hist")}, "refused", "training", "bad"
    ),
    "start": Push(
        {
            "parcels.py": (
                "import polars as pl\n",
                "import polars as pl\nimport sys\nassert 'controller' not in sys.argv\n",
            )
        },
        "taken_back",
        "activate",
        "The controller could not start in its code",
    ),
}
"""Commits by name."""


@dataclass(frozen=True)
class Kill:
    """A kill at a point, or some time after it.

    Args:
        point: ``before`` or ``after`` a function, with what tells its calls apart; see :mod:`release_points`.
        target: ``self``, ``all``, ``parent``, ``git``, or ``below 1`` for the children, ``below 2`` for theirs.
        nth: Which call of that function within a process.
        process: The command of the process that goes past the point.
        release: The release that it runs in; by default, any.
    """

    point: str
    target: str = "self"
    after_s: float = 0.0
    nth: int = 1
    process: str = "controller"
    release: str = ""

    def __str__(self) -> str:
        return f"{self.target} {self.point}{f' + {self.after_s:g} s' if self.after_s else ''}"


def _parcels(number: int) -> tuple[str, list[dict[str, Any]]]:
    """Return the model and the rows of a request."""
    return MODEL, sent(8, drones=0.0, seed=number).select("kind", "distance_km").to_dicts()


def make_project(folder: Path) -> Path:
    """Make a project with a champion, its source repository without a commit, and an index; return its parent."""
    project = folder / "parcels"
    LocalIndex(folder / "index").lock(project, ["tinylib==2.0"])
    make_origin(folder / "origin.git")
    for name, text in (
        ("everfit.toml", _SETTINGS),
        ("parcels.py", _MODULE),
        ("design.md", _DESIGN),
        ("tests/test_parcels.py", _TEST),
    ):
        project.joinpath(name).parent.mkdir(exist_ok=True)
        project.joinpath(name).write_text(text)
    history().write_parquet(project / "parcels.parquet")
    place_tracking(project)
    for words in (("train",), ("promote",), ("features", "materialize")):
        answer = everfit(project, *words)
        assert answer.code == 0, answer.err + answer.out
    return folder


@dataclass
class Life:
    """A running system with callers, a push, and kills.

    Args:
        folder: Copy of what :func:`make_project` made.
    """

    folder: Path
    push: Push
    kills: tuple[Kill, ...]
    port: int = field(default_factory=free_port)
    seconds: float = 0.0
    restarts: int = 0
    """Number of times that all of it was started again."""
    unanswered: int = 0
    """Number of rows that were not predicted since the first one was."""

    def __post_init__(self) -> None:
        self.project = self.folder / "parcels"
        self.state = self.project / ".everfit"
        self.callers = Callers(self.port, _parcels)
        self.origin = Origin(self.folder / "origin.git")
        self._kills = self.folder / "kills"
        self._kills.mkdir()
        (self.folder / _TEMPORARY).mkdir()
        shutil.copy(release_points.__file__, self._kills / "sitecustomize.py")
        lines = (json.dumps(asdict(kill)) for kill in self.kills)
        self._kills.joinpath(release_points.PLAN).write_text("".join(f"{line}\n" for line in lines))

    @cached_property
    def system(self) -> System:
        """Its stores, opened by this process."""
        return open_without_definitions(self.project)

    @property
    def log(self) -> str:
        """What the system printed."""
        return self._log.read_text()

    @property
    def done(self) -> list[str]:
        """The kills that took place, each with the number of processes that it killed."""
        file = self._kills / release_points.DONE
        found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [f"{line['target']} {line['point']}" for line in found if line["killed"]]

    @property
    def left(self) -> list[str]:
        """The kills that were planned and did not take place."""
        return self._kills.joinpath(release_points.PLAN).read_text().splitlines()

    def live(self) -> None:
        """Start, push, and wait until the release has ended and all that follows is done."""
        began_s = time.monotonic()
        self._start()
        try:
            with self.callers:
                self._until(lambda: bool(self.callers.answered))
                before = self.callers.unanswered
                self.commit = self._push()
                self._until(self._is_over)
                self.unanswered = self.callers.unanswered - before
        finally:
            self._stop()
        self.seconds = time.monotonic() - began_s

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The files of the commit."""
        names = ("everfit.toml", "parcels.py", "design.md", "tests/test_parcels.py", "pyproject.toml", "uv.lock")
        whole = {name: self.project.joinpath(name).read_bytes() for name in names}
        if self.push.versions > 1:
            whole["parcels.py"] = whole["parcels.py"].replace(b"retrain_when()", b"retrain_when(ef.NewRelease())")
        return self.push.files(whole)

    def delete(self) -> None:
        """Delete the folder; trees and environments are read-only."""
        delete_folder(self.folder)

    def _push(self) -> str:
        if self.push.step == "tree":
            return self.origin.commit(self.files | {"data": b"/etc/passwd"}, modes={"data": "120000"})
        return self.origin.commit(self.files)

    def release(self) -> Release | None:
        """Return the commit's release."""
        return self.system.releases.of_commit(self.commit)

    def _is_over(self) -> bool:
        release = self.release()
        if release is None or not release.ended:
            return False
        if release.state != self.push.state and not (release.state == "active" and self.push.state == "taken_back"):
            return True
        active, wanted = read_active(self.state), release.number if self.push.state == "active" else 0
        if release.state != self.push.state or active.number != wanted or active.given_back:
            return False
        if not active.is_proven or self._process_release() != wanted or self.working_folders:
            return False
        versions = self.system.registry.versions(MODEL)
        orders, rollouts = self.system.orders.of(MODEL), self.system.rollouts.of(MODEL)
        # Of a transition, the audit comes last.
        audited = {line.action for line in self.system.audit.read(MODEL)}
        have_ended = all(order.ended for order in orders) and all(rollout.ended for rollout in rollouts)
        recorded = all(rollout.history[-1].action in audited for rollout in rollouts)
        return len(versions) >= self.push.versions and have_ended and recorded

    @property
    def working_folders(self) -> list[Path]:
        """Folders that steps have worked in; a release's workflow ends by deleting them."""
        own = self.state / "releases"
        builds = [folder for folder in own.glob("[0-9]*/*/") if not folder.name.startswith("trial-")]
        return [*builds, *own.glob("[0-9]*/trial-*/*/")]

    def _process_release(self) -> int:
        """Return the release that the leading controller runs in; -1 while there is none."""
        report = read_controller_report(self.state)
        if report is None:
            return -1
        with suppress(psutil.Error):
            process = psutil.Process(report.pid)
            if "controller" in process.cmdline():
                return int(process.environ()["EVERFIT_RELEASE"])
        return -1

    def _until(self, holds: Any) -> None:
        until_s = time.monotonic() + _LONGEST_S
        # It may be killed while this looks.
        while self._up.poll() is not None or not holds() or self._up.poll() is not None:
            assert time.monotonic() < until_s, f"it is not over: {self.where()}\n{self.log[-3000:]}"
            assert not self.callers.refusals, self.callers.refusals[0]
            if self._up.poll() is not None:
                assert self._up.returncode == -signal.SIGKILL, (
                    f"it ended with {self._up.returncode}: {self.log[-3000:]}"
                )
                self._restart()
            time.sleep(0.05)

    def where(self) -> str:
        """Return where the release is, for a message."""
        known = self.system.releases.all(), read_active(self.state), self.system.orders.of(MODEL)
        return f"{known} in release {self._process_release()}"

    @property
    def _log(self) -> Path:
        return self.folder / "up.log"

    def _start(self) -> None:
        command = [sys.executable, "-m", "everfit", "up", "--port", str(self.port)]
        own = {"PYTHONPATH": str(self._kills), "TMPDIR": str(self.folder / _TEMPORARY)}
        own |= {"UV_CACHE_DIR": str(self.folder / "uv-cache"), "UV_OFFLINE": "1"}
        with self._log.open("ab") as log:
            self._up = subprocess.Popen(command, cwd=self.project, stdout=log, stderr=log, env={**os.environ, **own})

    def _restart(self) -> None:
        """Start it again, once what its supervisor has left has ended by itself."""
        until_s = time.monotonic() + 30
        while left := list(self.processes()):
            assert time.monotonic() < until_s, f"they must end with the supervisor: {left}"
            time.sleep(0.05)
        self.restarts += 1
        self._start()

    def _stop(self) -> None:
        self._up.send_signal(signal.SIGTERM)
        try:
            code = self._up.wait(60)
        except subprocess.TimeoutExpired:
            for process in self.processes():
                process.kill()
            raise AssertionError(f"it does not end when it is told to: {self.log[-2000:]}") from None
        assert code == 0, self.log[-2000:]

    def processes(self) -> Iterator[psutil.Process]:
        """Yield the processes that have to do with this life."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = [*process.cmdline(), process.cwd(), *process.environ().values()]
                is_own = any(str(self.folder) in word for word in words) and process.pid != os.getpid()
                if is_own and process.status() != psutil.STATUS_ZOMBIE:
                    yield process


def assert_whole(life: Life) -> None:
    """The release ended once, all records agree, what is active is whole, and nothing temporary is left."""
    release = life.release()
    assert release is not None
    _assert_ended_once(life, release)
    _assert_records_agree(life, release)
    if life.push.state != "refused":
        _assert_tree_and_environment_are_whole(life, release)
    _assert_nothing_is_left(life)
    assert life.callers.answered
    assert not life.callers.refusals, life.callers.refusals[0]
    if not life.restarts:
        assert life.unanswered == 0


def _assert_ended_once(life: Life, release: Release) -> None:
    push = life.push
    assert life.system.releases.all() == (release,)
    assert release.state == push.state, release
    assert push.reason in release.sentence, release.sentence
    assert release.runs == 1
    ended = [(step.step, step.outcome) for step in release.steps if step.outcome in {"passed", "refused", "skipped"}]
    last = "refused" if push.state == "refused" else "passed"
    assert ended == [*((step, "passed") for step in STEPS[: STEPS.index(push.step)]), (push.step, last)], release.steps
    if push.state != "refused":
        features = release.step("features")
        assert features is not None
        assert "the release before" in features.sentence, "they are compared, whatever was killed"
    for step in release.steps:
        assert life.state.joinpath(step.log).is_file() or step.outcome in {None, "failed"}
    audit = Counter(line.action for line in life.system.audit.read() if not line.model)
    deeds = {"active": ["release"], "refused": [], "taken_back": ["release", "take_back_release"]}
    assert audit == Counter(deeds[push.state]), audit
    assert life.log.count("Traceback") == 0, life.log


def _assert_records_agree(life: Life, release: Release) -> None:
    """Ledger, documents, deployment and registry."""
    active = life.system.releases.active()
    document = read_active(life.state)
    if life.push.state == "active":
        assert active == release
        assert document == ActiveRelease(number=release.number, is_proven=True)
        assert read_release(life.state, release.number) == folder_of(release)
    else:
        assert active is None
        assert document == ActiveRelease(is_proven=document.is_proven)
    if life.push.state == "refused":
        assert read_release(life.state, release.number) is None
    versions = {version.version: version for version in life.system.registry.versions(MODEL)}
    assert len(versions) == life.push.versions
    champion, deployed = life.system.registry.champion(MODEL), life.system.deployment.of(MODEL)
    assert champion is not None
    assert deployed is not None
    assert champion.version == deployed.champion.version == life.push.versions
    assert (deployed.canary, deployed.shadow) == (None, None)
    package = open_package(life.system.deployment.folder_of(deployed.champion), trust=life.system.trust)
    lineage, [lookup] = package.manifest.lineage, package.schema.lookups
    if life.push.versions > 1:
        assert (lineage.release, lineage.code.commit) == (release.number, release.commit)
    generation = life.system.online.state(lookup.view, lookup.definition)
    assert generation is not None
    assert generation.watermark_us is not None


def _assert_tree_and_environment_are_whole(life: Life, release: Release) -> None:
    """Byte for byte the commit, read-only; the environment is complete and has what is locked."""
    tree, environment = life.state / release.tree, life.state / release.environment
    found = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert found == life.files
    assert not any(path.stat().st_mode & stat.S_IWUSR for path in (tree, *tree.rglob("*")))
    assert code_version(tree, commit=release.commit).digest == release.code
    assert release_digest(tree) == release.content
    assert (environment / ".complete").is_file()
    command = [str(python_of(environment)), "-I", "-c", "import everfit, tinylib; print(tinylib.NUMBER)"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "2\n"


def _assert_nothing_is_left(life: Life) -> None:
    """No file or folder that is not in use, and no process."""
    assert not [process.cmdline() for process in life.processes()]
    assert not list((life.folder / _TEMPORARY).iterdir())
    assert not list(life.state.rglob("*.new"))
    assert not list(life.state.glob("temporary/*"))
    assert not list(life.state.glob("orders/*/.*"))
    releases = life.state / "releases"
    assert not [path for path in releases.glob("environments/*") if path.is_dir() and not (path / ".complete").exists()]
    assert len(list(releases.glob("trees/*"))) <= 1
    assert not life.working_folders
    git(releases / "mirror.git", "fsck", "--connectivity-only")
