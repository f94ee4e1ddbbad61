"""``everfit level`` on real projects, with each part killed, stopped, locked, damaged or removed in turn."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import psutil
import pytest
from tests.acceptance.shop import DEFINITIONS, everfit, make_project, orders
from tests.design.records import FRONT, design
from tests.releases.origin import git
from tests.serving.test_deployment import wait_for

from everfit.core.clock import SystemClock
from everfit.definitions.project import Project
from everfit.loop.automation_level import LevelReport, judge_level
from everfit.loop.level_probes import LIMIT_S, gather_facts
from everfit.wiring import load_project

LOOP = {"orchestrated training and tuning", "delivery of models", "real-time monitoring", "triggered retraining"}
SERVICE = {"prediction service", "update of prediction services"}
FULL = {"source repository", "delivery of pipelines", "standardised design", "documentation"}
QUIET = "\nlate.retrain_when(ef.Every('3650d'))\n"
"""A policy that orders nothing while the test runs."""


def judge(project: Project) -> LevelReport:
    """Return the report, and make sure that it is there in time whatever hangs."""
    began_s = time.monotonic()
    facts = gather_facts(project, project.root / ".everfit", SystemClock())
    assert time.monotonic() - began_s < LIMIT_S + 0.5
    return judge_level(facts)


def is_broken(
    project: Project, expected: set[str], *words: str, also: frozenset[str] = frozenset(), seconds: float = 90.0
) -> None:
    """Assert which capabilities are broken, waiting for a part that was just changed to show it; print the table.

    ``also``: what may be broken besides, as a consequence that takes a round.
    """
    report = judge(project)
    deadline_s = time.monotonic() + seconds
    # A process that was killed holds its lock until the last of its threads has ended.
    while not (expected <= set(report.broken) <= expected | also and all(word in _reasons(report) for word in words)):
        if time.monotonic() > deadline_s:
            break
        time.sleep(0.2)
        report = judge(project)
    for one in report.capabilities:
        sys.stdout.write(f"{one.state:<7} {one.name:<33} {one.sentence} {one.next_step}\n")
    sys.stdout.write("\n")
    assert expected <= set(report.broken) <= expected | also
    for word in words:
        assert word in _reasons(report)
    assert (report.reached == report.level) == (not report.broken)


def _reasons(report: LevelReport) -> str:
    return " ".join(one.sentence for one in report.capabilities if one.state == "broken")


def process_of(supervisor: psutil.Process, *words: str) -> psutil.Process:
    """Return the newest child whose command has these words; one that was started a moment ago has others yet."""

    def found() -> list[psutil.Process]:
        return [child for child in supervisor.children() if set(words) <= set(_command(child))]

    wait_for(lambda: bool(found()))
    return max(found(), key=lambda child: child.create_time())


def lasting(supervisor: psutil.Process, *words: str) -> psutil.Process:
    """Return the child that has been the newest one for three seconds: a new release replaces processes."""
    found, since_s = process_of(supervisor, *words), time.monotonic()
    while time.monotonic() < since_s + 3:
        time.sleep(0.1)
        if (newest := process_of(supervisor, *words)) != found:
            found, since_s = newest, time.monotonic()
    return found


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return []


@contextmanager
def up(folder: Path, *options: str) -> Iterator[psutil.Process]:
    """The whole system."""
    with folder.joinpath("up.log").open("ab") as log:
        command = [sys.executable, "-m", "everfit", "up", "--port", "0", *options]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGCONT)
        for child in psutil.Process(process.pid).children():
            child.send_signal(signal.SIGCONT)
        process.terminate()
        assert process.wait(60) == 0, folder.joinpath("up.log").read_text()[-3000:]


@contextmanager
def held(process: psutil.Process) -> Iterator[None]:
    """Stop a process as a debugger does: a supervisor restarts nothing meanwhile."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def replaced(path: Path, content: bytes | None) -> Iterator[None]:
    """Another file in the place of one, or none."""
    away = path.with_name(f"away-{path.name}")
    path.rename(away)
    if content is not None:
        path.write_bytes(content)
    try:
        yield
    finally:
        away.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A database that another process keeps from being written."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.slow
def test_each_part_of_a_semi_automatic_project(own: Path) -> None:
    (own / "shop.py").write_text((own / "shop.py").read_text() + QUIET)
    state = own / ".everfit"
    project = load_project(own)
    is_broken(project, LOOP | SERVICE, "No controller leads", "No worker")
    with up(own, "--workers", "2") as supervisor:
        is_broken(project, set())
        assert judge(project).reached == "semi"

        with held(supervisor):
            process_of(supervisor, "controller").kill()
            is_broken(project, LOOP, "No controller leads")
            with state.joinpath("controller.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                is_broken(project, LOOP, "Another process holds the lock")
        is_broken(project, set())
        with held(process_of(supervisor, "controller")):
            is_broken(project, LOOP, "is stopped")
        is_broken(project, set())

        with held(supervisor):
            process_of(supervisor, "worker", "1").kill()
            is_broken(project, {"prediction service"}, "Worker 1 has ended")
            process_of(supervisor, "worker", "0").kill()
            is_broken(project, SERVICE, "Worker 0 has ended", "Worker 1 has ended")
        is_broken(project, set())
        with held(process_of(supervisor, "worker", "0")):
            is_broken(project, {"prediction service"}, "Worker 0 is stopped")
        is_broken(project, set())

        with locked(state / "ledger.db"):
            is_broken(project, LOOP | {"metadata store"}, "database is locked")
        is_broken(project, set())
        with replaced(state / "online.db", None):
            is_broken(project, {"feature store"}, "There is no online store")
        with replaced(state / "online.db", b"no database at all, but much longer than a header" * 100):
            is_broken(project, {"feature store"}, "file is not a database")
        with replaced(state / "loop.db", None):
            is_broken(project, {"orchestrated training and tuning"}, "The database of the workflows is gone")
        is_broken(project, set())

        monitoring = frozenset({"real-time monitoring"})  # says so once a round has met it
        with replaced(state / "deployment.json", b"{"):
            is_broken(project, {"delivery of models", "update of prediction services"}, also=monitoring)
        is_broken(project, set())
        with replaced(state / "tracking.db", b"no database at all" * 100):
            is_broken(project, {"tracking", "registry"}, "file is not a database", also=monitoring)
    is_broken(project, LOOP | SERVICE, "No controller leads", "No worker")


FULL_SETTINGS = """
[loop]
level = "full"

[releases]
poll_seconds = 1
"""
A_TEST = "from shop import late\n\n\ndef test_the_model_predicts_late_orders():\n    assert late.task == 'binary'\n"


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A project of level full with a champion, whose data ends now."""
    data = orders()
    shift = datetime.now(UTC) - timedelta(minutes=5) - data["delivered_at"].max()  # type: ignore[operator]
    data = data.with_columns(pl.col("ordered_at", "delivered_at") + shift)
    folder = make_project(tmp_path / "shop", definitions=DEFINITIONS + QUIET, data=data)
    (folder / "everfit.toml").write_text((folder / "everfit.toml").read_text() + FULL_SETTINGS)
    (folder / "design.md").write_text(design(FRONT.replace("slices: []", "slices: [{column: shop, max_gap: 0.4}]")))
    (folder / "README.md").write_text("# Late orders\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_shop.py").write_text(A_TEST)
    (folder / ".gitignore").write_text(".everfit/\n__pycache__/\n*.parquet\n*.log\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    for words in (("train",), ("promote",), ("features", "materialize")):
        answer = everfit(folder, *words)
        assert answer.code == 0, answer.err + answer.out
    return folder


@pytest.mark.slow
def test_each_part_of_a_fully_automatic_project(full: Path) -> None:
    project = load_project(full)
    stopped = LOOP | SERVICE | {"delivery of pipelines"}
    is_broken(project, stopped, "No controller leads", "No worker")
    for name, content, broken in (
        ("README.md", None, {"documentation"}),
        ("design.md", None, {"standardised design", "documentation"}),
        ("design.md", b"---\npurpose: 3\n---\n", {"standardised design", "documentation"}),
        ("tests", None, {"tests of data and model"}),
        (".git", None, {"source repository"}),
    ):
        with replaced(full / name, content):
            is_broken(project, stopped | broken)
    with up(full) as supervisor:
        is_broken(project, set())
        assert judge(project).reached == "full"
        wait_for(lambda: "release 1 (" in pipelines(project) and "is active" in pipelines(project), seconds=300)
        is_broken(project, set())
        controller = lasting(supervisor, "controller")
        with held(supervisor):
            controller.kill()
            is_broken(project, LOOP | {"delivery of pipelines"}, "No controller leads")
        is_broken(project, set())
        monitoring = frozenset({"real-time monitoring"})  # says so once a round has met it
        with replaced(full / ".git", None):
            is_broken(project, {"source repository", "delivery of pipelines"}, "git repository", also=monitoring)
        git(full, "branch", "--move", "main", "other")
        is_broken(project, {"source repository", "delivery of pipelines"}, "Branch main is not in", also=monitoring)
        git(full, "branch", "--move", "other", "main")
        is_broken(project, set())
        refused = "def test_that_fails():\n    assert 1 == 2\n"
        (full / "tests" / "test_more.py").write_text(refused)
        git(full, "add", ".")
        git(full, "commit", "--quiet", "--message=a failing test")
        wait_for(lambda: "pinned because release 2" in pipelines(project), seconds=300)
        is_broken(project, set())
        answer = everfit(full, "level", "--check", "--json")
    assert answer.code == 0, answer.out
    assert answer.json["reached"] == "full"


def pipelines(project: Project) -> str:
    """The sentence about the delivery of pipelines."""
    [found] = [one for one in judge(project).capabilities if one.name == "delivery of pipelines"]
    return found.sentence


@pytest.mark.slow
def test_a_manual_project_needs_nobody_to_run_by_itself(own: Path) -> None:
    (own / "everfit.toml").write_text((own / "everfit.toml").read_text() + '\n[loop]\nlevel = "manual"\n')
    project = load_project(own)
    is_off(project, LOOP | SERVICE | FULL)
    with serving(own) as process:
        wait_for(lambda: judge(project).reached == "manual", seconds=60)
        is_off(project, LOOP | FULL)
        child = process_of(process, "worker", "0")
        with held(process):
            child.kill()
            is_broken(project, {"prediction service"}, "Worker 0 has ended")
    is_off(project, LOOP | SERVICE | FULL)
    answer = everfit(own, "level", "--check")
    assert answer.code == 0
    assert "not even level manual is reached" in answer.out


def is_off(project: Project, expected: set[str]) -> None:
    report = judge(project)
    assert {one.name for one in report.capabilities if one.state == "off"} == expected
    assert not report.broken
    assert all(one.next_step for one in report.capabilities if one.state == "off")


@contextmanager
def serving(folder: Path) -> Iterator[psutil.Process]:
    """The prediction service alone."""
    process = subprocess.Popen([sys.executable, "-m", "everfit", "serve", "--port", "0"], cwd=folder)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


DAMAGE: list[tuple[str, Callable[[Path], object], set[str], str]] = [
    ("ledger is garbage", lambda state: _spoil(state / "ledger.db"), {"metadata store"}, "file is not a database"),
    ("ledger is empty", lambda state: _spoil(state / "ledger.db", b""), {"metadata store"}, "no such table"),
    ("ledger is a folder", lambda state: _folder(state / "ledger.db"), {"metadata store"}, "unable to open"),
    ("ledger is gone", lambda state: _delete(state / "ledger.db"), {"metadata store"}, "The ledger is gone"),
    ("tracking is cut", lambda state: _cut(state / "tracking.db"), {"tracking", "registry"}, "malformed"),
    ("tracking is gone", lambda state: _delete(state / "tracking.db"), {"tracking", "registry"}, "The store is gone"),
    ("a view is not written", lambda state: _forget_view(state / "online.db"), {"feature store"}, "shop_record"),
    ("the record is garbage", lambda state: _spoil(state / "deployment.json"), set(), "deployment record"),
]


@pytest.mark.parametrize(("damage", "broken", "words"), [each[1:] for each in DAMAGE], ids=[each[0] for each in DAMAGE])
def test_damage_is_found_while_nothing_runs(
    own: Path, damage: Callable[[Path], object], broken: set[str], words: str
) -> None:
    damage(own / ".everfit")
    before = sorted((str(path), path.stat().st_size) for path in (own / ".everfit").rglob("*.json"))
    report = judge(load_project(own))
    assert set(report.broken) == broken | LOOP | SERVICE
    assert words in " ".join(one.sentence for one in report.capabilities)
    assert before == sorted((str(path), path.stat().st_size) for path in (own / ".everfit").rglob("*.json"))


def _spoil(path: Path, content: bytes = b"garbage " * 1000) -> None:
    _delete(path)
    path.write_bytes(content)


def _delete(path: Path) -> None:
    for file in (path, *path.parent.glob(f"{path.name}-*")):
        file.unlink()


def _folder(path: Path) -> None:
    _delete(path)
    path.mkdir()


def _cut(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(path, path.stat().st_size // 4)


def _forget_view(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE generations SET watermark_us = NULL")


def test_what_hangs_is_broken_within_two_seconds(own: Path) -> None:
    state = own / ".everfit"
    began_s = time.monotonic()
    everfit(own, "level")
    healthy_s = time.monotonic() - began_s
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        text = (own / "everfit.toml").read_text()
        (own / "everfit.toml").write_text(f'{text}\n[stores]\ntracking = "{address}"\n')
        _delete(state / "deployment.json")
        os.mkfifo(state / "deployment.json")  # opening it waits for a writer that never comes
        began_s = time.monotonic()
        answer = everfit(own, "level", "--json", "--check", timeout_s=60)
        took_s = time.monotonic() - began_s
    assert answer.code == 1
    found = {one["name"]: one["sentence"] for one in answer.json["capabilities"] if one["state"] == "broken"}
    assert "did not answer within 1.5 s" in found["tracking"]
    assert "It did not answer within 2 s." in found["delivery of models"]
    assert took_s < 2 * healthy_s + LIMIT_S + 3, "the command ends although probes still hang"
