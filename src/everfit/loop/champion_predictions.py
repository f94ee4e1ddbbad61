"""The champion's predictions of a candidate's hold-out, by the champion's own code and libraries.

The rows are the same for both: the events of the hold-out, by id and time. Their features are those of each one's own
definitions, as of the same instants. Where the champion belongs to another release than the candidate, a child process
in that release computes them.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from everfit.artifact.encode import encode_inputs
from everfit.artifact.fitted_model import Fitted
from everfit.artifact.package import Package, open_package
from everfit.artifact.schema import InputSchema, request_meaning
from everfit.artifact.signing import Trust
from everfit.core.class_names import ClassValue, quoted
from everfit.core.columns import TIME
from everfit.core.errors import DataError, EverfitError, StoreError
from everfit.core.evidence import ID, TrainingFrame
from everfit.core.records import FrameManifest, TimeSplit
from everfit.core.user_code import describe_raise
from everfit.definitions.model import Model
from everfit.features.history import build_frame
from everfit.features.training_start import training_start
from everfit.loop.retrain_job import CHAMPION, LOG, training_limits
from everfit.runtime.launcher import Launcher, release_launcher
from everfit.runtime.subprocess_runner import run_child
from everfit.store.active_release import read_release, release_of
from everfit.store.reader import Reader
from everfit.system import System
from everfit.training.candidate import Candidate, ChampionPredictions
from everfit.training.refit import fit_without_holdout
from everfit.training.split import holdout_rows

COMMAND = "champion-predictions"
"""The command that calls :func:`run_request`."""
_REQUEST, _FRAME, _RESULT = "request.json", "frame.arrow", "result.json"
_PREDICTION, _DEPLOYED = "prediction.npy", "deployed.npy"
_PLACE = "__place"
_COMMON = 0.5
"""Smallest share of the hold-out's rows that the champion must have as well; chosen."""


class HoldoutRequest(Struct, frozen=True, kw_only=True):
    """Input of the process that predicts as the champion; the frame is beside it."""

    package: str
    """Folder of the champion's package."""
    features: tuple[str, ...]
    """Of the candidate's frame, as ``request`` and ``manifest``."""
    request: tuple[str, ...]
    manifest: FrameManifest
    split: TimeSplit


class HoldoutResult(Struct, frozen=True, kw_only=True):
    """Result of that process; without a problem, the predictions are beside it."""

    problem: str = ""
    remark: str = ""
    refitted: bool = False
    classes: tuple[ClassValue, ...] = ()


def champion_predictions(
    system: System, version: int, package: Package, frame: TrainingFrame, candidate: Candidate, *, scratch: Path
) -> ChampionPredictions:
    """Return the champion's predictions on the hold-out, or the reason why there are none.

    Args:
        version: The champion, and its package.
        frame: The candidate's.
        scratch: Folder for files of a child process, and for its log.
    """
    schema, split = package.schema, candidate.split
    found = ChampionPredictions(version=version, learnt=schema.classes, request=request_meaning(schema))
    if problem := _incomparable(candidate.fitted.schema, schema):
        return replace(found, problem=problem)
    try:
        launcher = _launcher(system, package)
        if launcher is not None:
            return _predict_elsewhere(system, launcher, package, frame, split, scratch, found)
        # The candidate's frame is the champion's as well if both are of the same code.
        is_own = package.manifest.lineage.code.digest == system.code_digest()
        return predict_holdout(system, package, frame, split, is_own=is_own, found=found)
    except EverfitError as error:
        return replace(found, problem=str(error))


def _incomparable(candidate: InputSchema, champion: InputSchema) -> str:
    """Return the reason why two models cannot be compared, whatever the rows; empty if they can."""
    if candidate.task != champion.task:
        return f"it is a {champion.task} model, and this one is {candidate.task}"
    if candidate.task == "binary" and set(candidate.classes) != set(champion.classes):
        return f"its label takes the values {quoted(champion.classes)}, and this one's {quoted(candidate.classes)}"
    return ""


def _launcher(system: System, package: Package) -> Launcher | None:
    """Return the launcher of the champion's release; ``None`` if this process can predict as the champion."""
    lineage, state = package.manifest.lineage, system.state
    theirs = release_of(state, lineage.release, commit=lineage.code.commit)
    ours = read_release(state, system.project.release) if system.project.release else None
    if theirs == ours or (theirs is None and (ours is None or not ours.environment)):
        return None
    return release_launcher(system.project.root, state, theirs)


def _predict_elsewhere(
    system: System,
    launcher: Launcher,
    package: Package,
    frame: TrainingFrame,
    split: TimeSplit,
    scratch: Path,
    found: ChampionPredictions,
) -> ChampionPredictions:
    """Let a child process predict. Raises :class:`ProcessError` if it fails."""
    folder = scratch / CHAMPION
    # Of an attempt that was killed.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    request = HoldoutRequest(
        package=str(package.folder),
        features=frame.features,
        request=frame.request,
        manifest=frame.manifest,
        split=split,
    )
    frame.data.write_ipc(folder / _FRAME)
    (folder / _REQUEST).write_bytes(msgspec.json.encode(request))
    try:
        run_child(
            launcher.command(COMMAND, "--folder", str(folder)),
            folder=launcher.root,
            variables=launcher.variables,
            log=scratch / LOG,
            limits=training_limits(system.project.settings.loop),
        )
        result = msgspec.json.decode((folder / _RESULT).read_bytes(), type=HoldoutResult)
        prediction, deployed = (
            np.load(folder / name, allow_pickle=False) if (folder / name).is_file() else None
            for name in (_PREDICTION, _DEPLOYED)
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(
        found,
        prediction=prediction,
        problem=result.problem,
        remark=result.remark,
        refitted=result.refitted,
        deployed=deployed,
        classes=result.classes,
    )


def champion_code(folder: Path, trust: Trust) -> Path:
    """Return the code that the package of a folder's request keeps.

    Raises :class:`StoreError` if the request cannot be read, :class:`PackageError` if the package must not be used, or
    keeps none.
    """
    return open_package(Path(_read_request(folder).package), trust=trust).project(trust)


def run_request(system: System, folder: Path) -> None:
    """In a process of the champion's release: carry out a folder's request, and leave the result there."""
    request = _read_request(folder)
    frame = TrainingFrame(
        data=pl.read_ipc(folder / _FRAME),
        features=request.features,
        request=request.request,
        manifest=request.manifest,
    )
    try:
        package = open_package(Path(request.package), trust=system.trust)
        found = predict_holdout(system, package, frame, request.split, is_own=False)
    except EverfitError as error:
        found = ChampionPredictions(problem=str(error))
    for name, values in ((_PREDICTION, found.prediction), (_DEPLOYED, found.deployed)):
        if values is not None:
            np.save(folder / name, values)
    result = HoldoutResult(problem=found.problem, remark=found.remark, refitted=found.refitted, classes=found.classes)
    (folder / _RESULT).write_bytes(msgspec.json.encode(result))


def _read_request(folder: Path) -> HoldoutRequest:
    try:
        return msgspec.json.decode((folder / _REQUEST).read_bytes(), type=HoldoutRequest)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(
            f"the folder of a champion's predictions must have a request: {error}", value=str(folder)
        ) from error


_NOTHING = ChampionPredictions()


def predict_holdout(
    system: System,
    package: Package,
    frame: TrainingFrame,
    split: TimeSplit,
    *,
    is_own: bool,
    found: ChampionPredictions = _NOTHING,
) -> ChampionPredictions:
    """Predict the hold-out of a candidate's frame as the champion would.

    A champion that has learned from these rows is refitted without them, and predicts itself those that are newer than
    what it has learned from. Rows that are no events by its own definitions are NaN.

    Args:
        system: Its project is the champion's, or the package keeps the champion's code.
        is_own: The frame was built by the champion's definitions.
        found: The result is added to it.
    """
    lineage, asked = package.manifest.lineage, holdout_rows(frame.data, split)
    learnt_until = lineage.frame.as_of if lineage.refitted or lineage.split is None else lineage.split.holdout_from
    holdout_from, own, remark = split.holdout_from, frame, ""
    learns = learnt_until > holdout_from
    recipe: Fitted | None = None
    deployed: NDArray[np.float64] | None = None
    try:
        if not is_own:
            own, remark = _own_frame(system, package, frame, holdout_from=holdout_from, learns=learns)
        rows, places = _matching(own.data, asked)
        if learns:
            definition, names = _definition(system, package), package.schema.names
            fitted = fit_without_holdout(definition, own, lineage, features=names, holdout_from=holdout_from)
            classes, predicted = fitted.schema.classes, fitted.predict(encode_inputs(fitted.schema, rows))
            newer = (rows[TIME] >= learnt_until).to_numpy()
            if newer.any():
                itself = package.native().predict(package.transform(rows.filter(newer)))
                deployed = _placed(itself, places[newer], asked.height)
            # The constant of a fallback has no recipe.
            recipe = fitted if is_own and lineage.split is not None else None
        else:
            classes, predicted = package.schema.classes, package.native().predict(package.transform(rows))
    except EverfitError as error:
        return replace(found, problem=str(error))
    except Exception as error:  # noqa: BLE001 - whatever the champion's estimator raises on rows of today
        return replace(found, problem=f"it raised {describe_raise(error)}")
    if missing := asked.height - len(places):
        remark += f" {missing:,} of {asked.height:,} rows are no events by its own definitions, and are left out."
    return replace(
        found,
        prediction=_placed(predicted, places, asked.height),
        refitted=learns,
        recipe=recipe,
        deployed=deployed,
        classes=classes,
        remark=remark.strip(),
    )


def _placed(predicted: NDArray[np.float64], places: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """Return predictions at their places among so many rows; the others are NaN."""
    placed = np.full((rows, *predicted.shape[1:]), np.nan)
    placed[places] = predicted
    return placed


def _own_frame(
    system: System, package: Package, frame: TrainingFrame, *, holdout_from: datetime, learns: bool
) -> tuple[TrainingFrame, str]:
    """Build the frame of the champion's definitions: the hold-out, and what it is refitted on if it learns.

    Where that is not possible, for example because a source has lost a column, the candidate's frame is returned, with
    a remark. Raises :class:`DataError` if that lacks one of the champion's features.
    """
    asked = frame.manifest
    try:
        definition = _definition(system, package)
        start = learning_start(definition, system.reader, asked, holdout_from) if learns else holdout_from
        return build_frame(definition, system.reader, as_of=asked.as_of, start=start, end=asked.end), ""
    except EverfitError as error:
        lacking = [name for name in package.schema.names if name not in frame.data.columns]
        if lacking:
            rule = f"its own code must compute {', '.join(lacking)}, which the candidate's does not: {error}"
            raise DataError(rule.rstrip(".")) from error
        return frame, f"Its own code cannot compute its features, so those of the candidate are taken: {error}"


def learning_start(definition: Model, reader: Reader, asked: FrameManifest, holdout_from: datetime) -> datetime | None:
    """Return the first event time that a champion is refitted on; ``None`` for all history.

    It is the candidate's where both have the same training window. Otherwise the champion is given, before the
    hold-out, as large a part of its own window as the candidate of its: neither has an advantage, and a window that is
    shorter than the hold-out is not empty.

    Args:
        definition: The champion's.
        asked: Of the candidate's frame.
    """
    if definition.history_text == asked.history:
        return asked.start
    share = (holdout_from - asked.start) / (min(asked.end, asked.as_of) - asked.start)
    first = training_start(definition, reader, as_of=holdout_from, share=share)
    return asked.start if first is None and not asked.history else first


def _definition(system: System, package: Package) -> Model:
    is_present = package.manifest.lineage.code.digest == system.code_digest()
    project = system.project if is_present else system.recorded_project(package)
    return project.model(package.schema.model)


def _matching(own: pl.DataFrame, asked: pl.DataFrame) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Return the rows of a frame that are the same events as those that are asked for, and their places there.

    Raises :class:`DataError` if they are less than half.
    """
    key = (pl.col(ID).cast(pl.String), TIME)
    places = asked.select(*key).with_row_index(_PLACE)
    rows = own.with_columns(key[0]).join(places, on=[ID, TIME], how="inner").sort(_PLACE)
    if rows.height < _COMMON * asked.height:
        rule = "at least half of the rows must be events by the champion's own definitions"
        raise DataError(rule, value=f"{rows.height} of {asked.height}")
    return rows.drop(_PLACE), rows[_PLACE].to_numpy().astype(np.int64)
