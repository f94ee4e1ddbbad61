"""Trainings of a backtest, each done once: its folder is named by what it depends on."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from everfit.artifact.encode import encode_inputs
from everfit.artifact.package import Package, open_package
from everfit.artifact.schema import InputSchema
from everfit.backtest.past import Past
from everfit.core.errors import EverfitError
from everfit.definitions.model import Model
from everfit.loop.candidate_pipeline import train_candidate
from everfit.loop.training_record import ChampionPackage, TrainingOutcome
from everfit.system import System
from everfit.training.refit import refit_as_recorded
from everfit.training.window_choice import choose_history

_OUTCOME = "outcome.json"
_BLOCK = 8192
"""Rows that a version predicts at a time, ahead of when they are needed."""


@dataclass
class Version:
    """A version of a backtest, with its predictions of the events since it was trained."""

    number: int
    package: Package
    past: Past
    digest: str
    """Of its package."""
    _blocks: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def schema(self) -> InputSchema:
        """Its inputs and classes."""
        return self.package.schema

    @property
    def folder(self) -> Path:
        """Of its package."""
        return self.package.folder

    def predictions(self, first: int, last: int) -> NDArray[np.float64]:
        """Return the predictions of the events with places ``[first, last)``, shape ``(rows,)`` or ``(rows, classes)``.

        Raises :class:`PackageError` or :class:`DataError` if the rows cannot be predicted.
        """
        if last <= first:
            width = (len(self.schema.classes),) if self.schema.task == "multiclass" else ()
            return np.empty((0, *width))
        blocks = range(first // _BLOCK, (last - 1) // _BLOCK + 1)
        for block in blocks:
            if block not in self._blocks:
                rows = self.past.rows[block * _BLOCK : (block + 1) * _BLOCK]
                predicted = self.package.predictor().predict(self.package.transform(rows))
                self._blocks[block] = np.asarray(predicted, dtype=np.float64)
        found = np.concatenate([self._blocks[block] for block in blocks])
        start = first - blocks[0] * _BLOCK
        # Earlier blocks are not asked for again but by the shadow of a watch, which is as far behind.
        self._blocks = {block: held for block, held in self._blocks.items() if block >= blocks[0] - 1}
        return found[start : start + last - first]


@dataclass(frozen=True)
class Trainings:
    """The trainings that are done, in a folder; another process may add to it at the same time."""

    system: System
    past: Past
    folder: Path

    def train(
        self, model: Model, instant: datetime, champion: Version | None, *, changed: datetime | None = None
    ) -> TrainingOutcome:
        """Train and judge a candidate as the loop does at an instant, unless that was done.

        ``changed`` is when the world changed, by incidents. A training that fails is an outcome with the problem.
        Raises :class:`PackageError` if a package cannot be read.
        """
        folder = self.folder / _key(model, instant, "" if champion is None else champion.digest, changed)
        if (known := _read(folder)) is not None:
            return known
        # Of a training that was interrupted.
        own = folder.with_name(f".{folder.name}")
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        package = None if champion is None else ChampionPackage(version=champion.number, folder=str(champion.folder))
        try:
            frame = replace(self.past.frame_at(model, instant), changed_at=changed)
            frame = choose_history(model, frame, settings=self.system.project.settings.training)
            candidate = train_candidate(self.system, model, frame, champion=package, into=own)
            outcome = TrainingOutcome(
                candidate=msgspec.structs.replace(candidate, folder=str(folder / Path(candidate.folder).name))
            )
        except EverfitError as error:
            outcome = TrainingOutcome(problem=str(error))
        (own / _OUTCOME).write_bytes(msgspec.json.encode(outcome))
        own.replace(folder)
        return outcome

    def version(self, outcome: TrainingOutcome, number: int) -> Version:
        """Return the version of a candidate that passed its gates; raises :class:`PackageError` if it is unreadable."""
        assert outcome.candidate is not None
        package = open_package(Path(outcome.candidate.folder), trust=self.system.trust)
        return Version(number=number, package=package, past=self.past, digest=outcome.candidate.digest)

    def refit(self, model: Model, instant: datetime, until: datetime, first: Version) -> NDArray[np.float64]:
        """Return predictions of the events up to another instant by the first version's parameters, fitted on what is
        known.

        Shape ``(rows,)``, or ``(rows, classes)`` in the order of the first version's classes. Raises
        :class:`TrainingError` if the trainer fails, and :class:`DataError` if an event cannot be predicted.
        """
        frame = choose_history(
            model, self.past.frame_at(model, instant), settings=self.system.project.settings.training
        )
        lineage = msgspec.structs.replace(first.package.manifest.lineage, refitted=True)
        fitted = refit_as_recorded(model, frame, lineage)
        rows = self.past.rows[self.past.place(instant) : self.past.place(until)]
        predicted = np.asarray(fitted.predict(encode_inputs(fitted.schema, rows)), dtype=np.float64)
        return _in_order(predicted, fitted.schema, first.schema)


def _in_order(predicted: NDArray[np.float64], own: InputSchema, wanted: InputSchema) -> NDArray[np.float64]:
    """Return chances in the order of other classes; those that have no place there are left out."""
    if own.task == "regression" or own.classes == wanted.classes:
        return predicted
    if own.task == "binary":
        return predicted if own.classes[-1] == wanted.classes[-1] else 1.0 - predicted
    found = np.zeros((len(predicted), len(wanted.classes)))
    for place, value in enumerate(wanted.classes):
        if value in own.classes:
            found[:, place] = predicted[:, own.classes.index(value)]
    return found


def _key(model: Model, instant: datetime, champion: str, changed: datetime | None) -> str:
    parts = (instant.isoformat(), model.history_text, champion, str(changed))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _read(folder: Path) -> TrainingOutcome | None:
    try:
        return msgspec.json.decode((folder / _OUTCOME).read_bytes(), type=TrainingOutcome)
    except FileNotFoundError:
        return None
