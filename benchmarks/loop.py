"""What the closed loop costs: a training beyond its process's start, from a label to an order, from a promotion to all
workers, and what watching takes while nothing happens.

The real ``everfit up`` with its defaults and two workers, on a model of one number; the whole way is gone several
times, each time by a system that was just started.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil

import everfit as ef
from benchmarks.loop_project import MODEL, WORKERS, make_project, sent, up
from benchmarks.loop_workers import WorkerAnswers
from benchmarks.measure import DATA, FOLDER, Figure
from everfit.commands.rollouts import promote
from everfit.core.order import OrderRecord
from everfit.store.controller_report import read_controller_report
from everfit.system import System
from everfit.wiring import open_system

ROUNDS = 3
IDLE_S = 30.0
PARCELS = 1_000
_LOOK_S = 0.01
_LONGEST_S = 120.0

T = TypeVar("T")


class Learnt(NamedTuple):
    """How long the steps of an order took, in seconds."""

    begin: float
    train: float
    file: float
    whole: float
    """From the order's start to the version on record."""


class Round(NamedTuple):
    """The whole way, once."""

    ordered_s: float
    learnt: Learnt
    delivered_s: float


def run() -> list[Figure]:
    """Go the whole way several times; the first time, wait and see what that costs."""
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        project = make_project(Path(name) / "project")
        start_s = min(_child_start_s(project) for _ in range(ROUNDS))
        idle_pct = _idle_pct(Path(shutil.copytree(project, Path(name) / "idle")))
        rounds = [_round(Path(shutil.copytree(project, Path(name) / f"round-{each}"))) for each in range(ROUNDS)]
    return _figures(start_s, idle_pct, rounds)


def _figures(start_s: float, idle_pct: float, rounds: list[Round]) -> list[Figure]:
    learnt = min((each.learnt for each in rounds), key=lambda each: each.whole)
    ordered = sorted(each.ordered_s for each in rounds)
    delivered = sorted(each.delivered_s for each in rounds)
    return [
        Figure(
            name="loop: a training beyond its process's start, best",
            value=learnt.whole - start_s,
            unit="s",
            goal=1.5,
            reference=f"start {start_s:.2f} s; steps: begin {learnt.begin:.2f}, train {learnt.train:.2f}, "
            f"file {learnt.file:.2f} s",
        ),
        Figure(
            name="loop: from the label that proves a drop to the order, worst",
            value=ordered[-1],
            unit="s",
            goal=5,
            reference=f"best {ordered[0]:.2f} s",
        ),
        Figure(
            name=f"loop: from the approved version to {WORKERS} workers, worst",
            value=delivered[-1],
            unit="s",
            goal=2,
            reference=f"best {delivered[0]:.2f} s",
        ),
        Figure(name="loop: the idle controller, of a core", value=idle_pct, unit="%", goal="< 2"),
    ]


def _child_start_s(project: Path) -> float:
    """Until a training process could begin to work."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.loop_child", str(project)]
    subprocess.run(command, cwd=FOLDER.parent, check=True, capture_output=True)
    return time.perf_counter() - began


def _idle_pct(project: Path) -> float:
    """What the controller takes of a core while nobody asks anything."""
    with up(project):
        report = _wait(lambda: read_controller_report(project / ".everfit"), "a controller")
        _rest(project)
        controller = psutil.Process(report.pid)
        before, began = controller.cpu_times(), time.perf_counter()
        time.sleep(IDLE_S)
        after, taken_s = controller.cpu_times(), time.perf_counter() - began
    return 100 * (after.user + after.system - before.user - before.system) / taken_s


def _round(project: Path) -> Round:
    """Labels prove a drop, an order is carried out, and its version answers."""
    with up(project) as (url, supervisor):
        system = open_system(project)
        ordered_s = _order(system, url)
        order = _wait(lambda: _filed(system), "a version")
        if order.version is None:
            raise RuntimeError(f"the order must lead to a version: {order.sentence}")
        learnt = _learnt(system, order.number)
        delivered_s = _deliver(system, url, supervisor, order.version)
    return Round(ordered_s, learnt, delivered_s)


def _order(system: System, url: str) -> float:
    """Seconds from the report whose last label proves the drop to the order in the ledger."""
    rows = sent(PARCELS, seed=1)
    ids = [f"parcel-{number}" for number in range(PARCELS)]
    with ef.Client(url) as client:
        client.predict(MODEL, rows.select("distance_km").to_dicts(), ids=ids)
        _rest(system.project.root)
        # The opposite of what was to be expected.
        outcomes = [{"id": each, "value": int(not late)} for each, late in zip(ids, rows["late"], strict=True)]
        began = time.perf_counter()
        client.outcomes(MODEL, outcomes)
        _wait(lambda: system.orders.of(MODEL), "an order")
        return time.perf_counter() - began


def _filed(system: System) -> OrderRecord | None:
    """The order, once it is on its way or has ended."""
    [record] = system.orders.of(MODEL)
    return None if record.state in {"open", "running"} else record


def _learnt(system: System, order: int) -> Learnt:
    """From the durable workflow's own record of its steps."""
    query = (
        "select function_name, started_at_epoch_ms, completed_at_epoch_ms from operation_outputs"
        " where workflow_uuid = ? and function_name in ('begin', 'train', 'file')"
    )

    def steps() -> dict[str, tuple[int, int]] | None:
        with sqlite3.connect(f"file:{system.state / 'loop.db'}?mode=ro", uri=True) as database:
            found = {name: (began, ended) for name, began, ended in database.execute(query, (f"order/{order}",))}
        return found if "file" in found else None

    found = _wait(steps, "the steps on record")
    begin, train, file = ((found[name][1] - found[name][0]) / 1e3 for name in ("begin", "train", "file"))
    return Learnt(begin, train, file, (found["file"][1] - found["begin"][0]) / 1e3)


def _deliver(system: System, url: str, supervisor: int, version: int) -> float:
    """Seconds from asking for the promotion to the last worker's first answer with the version."""
    row = {"distance_km": 3.0}
    with WorkerAnswers(url, supervisor, workers=WORKERS, model=MODEL, row=row) as answers:
        _wait(lambda: len(system.audit.read(MODEL)) > 0, "a rollout")
        # Loads MLflow: that is the start of whoever asks, not the way to the workers.
        system.registry.version(MODEL, version)
        # Not the audit's line: it is written last, and workers may have the version before.
        asked_s = time.time()
        promote(system, MODEL, version, actor="bench", reason="it was approved")
        return answers.all_at(version, seconds=_LONGEST_S) - asked_s


def _rest(project: Path) -> None:
    """Wait until the controller has looked at all that has happened, and looks no more."""
    asked_us = time.time() * 1e6
    _wait(
        lambda: (report := read_controller_report(project / ".everfit")) and report.watched_until_us > asked_us,
        "a look",
    )
    time.sleep(3)


def _wait(look: Callable[[], T | None], what: str) -> T:
    deadline_s = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline_s:
        found = look()
        if found:
            return found
        time.sleep(_LOOK_S)
    raise RuntimeError(f"there must be {what} within {_LONGEST_S:.0f} s")
