"""Tasks of a backtest, each carried out by a process of its own, and the folder of their results."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from everfit.backtest.contender import Contender
from everfit.backtest.course import Course, Walked
from everfit.backtest.loop_walk import LoopWalk, instants_between
from everfit.backtest.past import Past
from everfit.backtest.trainings import Trainings
from everfit.core.class_names import ClassValue
from everfit.core.evidence import TrainingFrame
from everfit.core.records import FrameManifest
from everfit.definitions.model import Model
from everfit.system import System
from everfit.wiring import open_system

_FRAME, _ABOUT, _COUNTS = "events.arrow", "events.json", "counts"


class Task(Struct, frozen=True, kw_only=True):
    """A policy's walk, or one refit of a schedule with its predictions until the next."""

    model: str
    contender: Contender
    start: datetime
    end: datetime
    step: timedelta

    @property
    def steps(self) -> int:
        """Number of steps by which its progress is counted."""
        return 1 if self.contender.kind == "refit" else -(-(self.end - self.start) // self.step)


class _About(Struct, frozen=True, kw_only=True):
    features: tuple[str, ...]
    request: tuple[str, ...]
    manifest: FrameManifest


class _Result(Struct, frozen=True, kw_only=True):
    course: Course
    classes: tuple[ClassValue, ...]


@dataclass(frozen=True)
class BacktestFolder:
    """Files of backtests with one code on one history."""

    folder: Path

    @property
    def trainings(self) -> Path:
        """Folder of the trainings."""
        return self.folder / "trainings"

    def make(self, past: Past) -> None:
        """Keep the events for the processes, unless they are there."""
        if (self.folder / _ABOUT).exists():
            return
        for part in ("trainings", "walks", "refits"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        past.rows.write_ipc(self.folder / _FRAME)
        frame = past.frame
        about = _About(features=frame.features, request=frame.request, manifest=frame.manifest)
        _write(self.folder / _ABOUT, msgspec.json.encode(about))

    def past(self, system: System, model: Model) -> Past:
        """Return the events that were kept."""
        about = msgspec.json.decode((self.folder / _ABOUT).read_bytes(), type=_About)
        data = pl.read_ipc(self.folder / _FRAME)
        frame = TrainingFrame(data=data, features=about.features, request=about.request, manifest=about.manifest)
        return Past(model, system.reader, frame)

    def walk(self, contender: Contender, start: datetime, end: datetime, step: timedelta) -> Path:
        """Return the file of a policy's course; its predictions are beside it."""
        return self.folder / "walks" / f"{_name(contender.name, start, end, step)}.json"

    def read_walk(self, contender: Contender, start: datetime, end: datetime, step: timedelta) -> Walked:
        """Return a walk that is done."""
        path = self.walk(contender, start, end, step)
        found = msgspec.json.decode(path.read_bytes(), type=_Result)
        return Walked(course=found.course, predictions=np.load(path.with_suffix(".npy")), classes=found.classes)

    def keep_walk(self, path: Path, walked: Walked) -> None:
        """Write a walk; its predictions first."""
        _save(path.with_suffix(".npy"), walked.predictions)
        _write(path, msgspec.json.encode(_Result(course=walked.course, classes=walked.classes)))

    def refit(self, window: str, begin: datetime, end: datetime) -> Path:
        """Return the file of a refit: seconds, and beside it the predictions until the next one."""
        return self.folder / "refits" / f"{_name(window, begin, end)}.json"

    def read_refit(self, window: str, begin: datetime, end: datetime) -> tuple[NDArray[np.float64], float]:
        """Return predictions and seconds of a refit that is done."""
        path = self.refit(window, begin, end)
        return np.load(path.with_suffix(".npy")), msgspec.json.decode(path.read_bytes(), type=float)

    def counts(self, tasks: int) -> Path:
        """Return a new file with a counter for each task."""
        path = self.folder / _COUNTS
        path.write_bytes(bytes(8 * tasks))
        return path


def perform(root: Path, release: int, folder: Path, start: datetime, task: Task, number: int) -> None:
    """Carry out a task in this process, and leave the result in the folder.

    Raises what trainings and predictions raise.

    Args:
        start: Of the backtest; there the first version was trained.
        number: Of the task's counter.
    """
    system = open_system(root)
    assert system.project.release == release
    files = BacktestFolder(folder)
    definition = system.project.model(task.model)
    trainings = Trainings(system, files.past(system, definition), files.trainings)
    outcome = trainings.train(definition, start, None)
    first, contender = trainings.version(outcome, 1), task.contender
    varied = contender.definition(definition)
    counts = np.memmap(files.folder / _COUNTS, dtype=np.int64, mode="r+")

    def advanced() -> None:
        counts[number] += 1

    if contender.kind == "refit":
        began_s = time.monotonic()
        path, past = files.refit(contender.window, task.start, task.end), trainings.past
        if task.start == start and not contender.window:
            predicted = first.predictions(past.place(start), past.place(task.end))
        else:
            predicted = trainings.refit(varied, task.start, task.end, first)
        _save(path.with_suffix(".npy"), predicted)
        _write(path, msgspec.json.encode(time.monotonic() - began_s))
        advanced()
        return
    walk = LoopWalk(trainings, contender, varied, first, outcome, start)
    walked = walk.walk(instants_between(task.start, task.end, task.step), advanced=advanced)
    files.keep_walk(files.walk(contender, task.start, task.end, task.step), walked)


def _name(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:20]


def _save(path: Path, values: NDArray[np.float64]) -> None:
    own = path.with_name(f".{uuid4().hex}.npy")
    np.save(own, values)
    os.replace(own, path)


def _write(path: Path, content: bytes) -> None:
    own = path.with_name(f".{uuid4().hex}")
    own.write_bytes(content)
    os.replace(own, path)
